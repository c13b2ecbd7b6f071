//! `GET`, `PUT` and `PATCH /api/profile`: what people say of themselves.

use std::sync::Arc;

use axum::extract::State;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::{Error, Invalid, Why};
use crate::http::describe::{BodyProblems, OriginProblem, Outages, SessionProblem};
use crate::http::form::{self, Context, Form, FromForm};
use crate::http::request::{Caller, Json, SignedIn};
use crate::model::language::Language;
use crate::model::user::{Gender, ProfileChange};
use crate::view;
use crate::work::follow_up;

/// A whole profile. What is missing is cleared.
#[derive(ToSchema)]
#[schema(example = json!({"full_name": "Test User", "language": "ko", "birth_year": 1990}))]
pub struct NewProfile {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, example = "Test User")]
    full_name: String,
    language: Option<Language>,
    gender: Option<Gender>,
    /// From 1900 to now.
    #[schema(minimum = 1900, example = 1990)]
    birth_year: Option<i16>,
}

impl FromForm for NewProfile {
    fn read(form: &mut Form, context: Context) -> Option<Self> {
        let full_name = form.required("full_name", form::full_name);
        let language = form.optional("language", form::language);
        let gender = form.optional("gender", form::gender);
        let birth_year = form.optional("birth_year", form::birth_year(context.this_year));
        Some(Self {
            full_name: full_name?,
            language: language?,
            gender: gender?,
            birth_year: birth_year?,
        })
    }
}

/// Changes to a profile (RFC 7396): what is missing stays, null clears.
#[derive(ToSchema)]
#[schema(example = json!({"language": "en", "birth_year": null}))]
pub struct ProfilePatch {
    /// 1 to 100 characters; it cannot be cleared.
    #[schema(
        required = false,
        nullable = false,
        min_length = 1,
        max_length = 100,
        example = "Test User"
    )]
    full_name: Option<String>,
    #[schema(value_type = Option<Language>)]
    language: Option<Option<Language>>,
    #[schema(value_type = Option<Gender>)]
    gender: Option<Option<Gender>>,
    /// From 1900 to now.
    #[schema(value_type = Option<i16>, minimum = 1900, example = 1990)]
    birth_year: Option<Option<i16>>,
}

impl FromForm for ProfilePatch {
    fn read(form: &mut Form, context: Context) -> Option<Self> {
        let full_name = form.clearable("full_name", form::full_name);
        let language = form.clearable("language", form::language);
        let gender = form.clearable("gender", form::gender);
        let birth_year = form.clearable("birth_year", form::birth_year(context.this_year));
        if full_name == Some(Some(None)) {
            form.refuse(Invalid {
                field: "full_name",
                why: Why::Required,
            });
        }
        Some(Self {
            full_name: full_name?.flatten(),
            language: language?,
            gender: gender?,
            birth_year: birth_year?,
        })
    }
}

/// Shows the account.
#[utoipa::path(
    get, operation_id = "show_profile", path = "/api/profile", tag = "profile", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = view::User), SessionProblem, OriginProblem, Outages),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
) -> Result<Json<view::User>, Error> {
    let user = app
        .stores
        .users
        .get(signed_in.user_id())
        .await?
        .ok_or(Error::SessionRequired)?;
    Ok(Json((&user).into()))
}

/// Replaces the profile.
#[utoipa::path(
    put, operation_id = "replace_profile", path = "/api/profile", tag = "profile", request_body = NewProfile,
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = view::User), BodyProblems, SessionProblem, OriginProblem),
)]
pub async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    signed_in: SignedIn,
    Json(profile): Json<NewProfile>,
) -> Result<Json<view::User>, Error> {
    let change = ProfileChange {
        full_name: Some(profile.full_name),
        language: Some(profile.language),
        gender: Some(profile.gender),
        birth_year: Some(profile.birth_year),
    };
    change_profile(&app, &caller, &signed_in, change).await
}

/// Changes parts of the profile.
#[utoipa::path(
    patch, operation_id = "change_profile", path = "/api/profile", tag = "profile", request_body = ProfilePatch,
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = view::User), BodyProblems, SessionProblem, OriginProblem),
)]
pub async fn patch(
    State(app): State<Arc<App>>,
    caller: Caller,
    signed_in: SignedIn,
    Json(patch): Json<ProfilePatch>,
) -> Result<Json<view::User>, Error> {
    let change = ProfileChange {
        full_name: patch.full_name,
        language: patch.language,
        gender: patch.gender,
        birth_year: patch.birth_year,
    };
    change_profile(&app, &caller, &signed_in, change).await
}

async fn change_profile(
    app: &App,
    caller: &Caller,
    signed_in: &SignedIn,
    change: ProfileChange,
) -> Result<Json<view::User>, Error> {
    let (now, user) = (app.now(), signed_in.user_id());
    let audit = app.event(caller, ("profile", "changed"), Some(user), None, now);
    let changed = app
        .stores
        .users
        .change_profile(user, &change, &audit)
        .await?;
    let follow_up = changed.ok_or(Error::SessionRequired)?;
    app.audit.log(&audit);
    // Carried into the sessions before the answer; if that fails, the sweep does it.
    follow_up::perform(&app.stores, &follow_up, now).await?;
    Ok(Json((&follow_up.user).into()))
}
