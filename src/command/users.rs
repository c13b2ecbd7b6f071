//! `aidlc-auth users …`: what an operator does to one account.

use anyhow::{Result, anyhow, bail};
use clap::Subcommand;
use jiff::Timestamp;

use crate::app::rules;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::entropy;
use crate::model::email_address::EmailAddress;
use crate::model::user::{Status, User};
use crate::store::sqlite::Use;
use crate::store::{self, AuditRow, Stores};
use crate::work::follow_up;

/// What to do to the account at an address.
#[derive(Subcommand)]
pub enum Users {
    /// Show it.
    Show {
        /// Its address.
        email: String,
    },
    /// Switch it off: its sessions and codes end, and nobody signs in to it.
    Deactivate {
        /// Its address.
        email: String,
    },
    /// Switch it on again.
    Activate {
        /// Its address.
        email: String,
    },
    /// Give the address its budgets back: guesses, passwords and mails.
    Forgive {
        /// The address; it needs no account.
        email: String,
    },
}

/// Does it.
pub fn run(config: &Config, command: &Users) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stores =
        store::open(&config.stores, Use::Operate, rules(config)).map_err(|why| anyhow!(why))?;
    let now = SystemClock.now();
    runtime.block_on(async {
        match command {
            Users::Show { email } => show(&stores, &address(email)?).await,
            Users::Deactivate { email } => {
                set(&stores, &address(email)?, Status::Deactivated, now).await
            }
            Users::Activate { email } => set(&stores, &address(email)?, Status::Active, now).await,
            Users::Forgive { email } => {
                stores.challenges.forgive(&address(email)?).await?;
                println!("the address has its budgets back");
                Ok(())
            }
        }
    })
}

fn address(typed: &str) -> Result<EmailAddress> {
    EmailAddress::parse(typed).map_err(|_| anyhow!("{typed:?} is no e-mail address"))
}

async fn show(stores: &Stores, email: &EmailAddress) -> Result<()> {
    match stores.users.find(email).await? {
        Some(user) => print(&user),
        None => bail!("no account has this address"),
    }
    Ok(())
}

async fn set(stores: &Stores, email: &EmailAddress, status: Status, now: Timestamp) -> Result<()> {
    let audit = AuditRow {
        id: entropy::row_id(now),
        at: now,
        event: "account",
        outcome: status.as_str(),
        user: None,
        subject: None,
        client: None,
        request_id: "operator".into(),
    };
    let Some(change) = stores.users.set_status(email, status, &audit).await? else {
        bail!("no account has this address");
    };
    // A service that runs beside this sees it at the next request: both read the same store.
    follow_up::perform(stores, &change, now).await?;
    print(&change.user);
    Ok(())
}

fn print(user: &User) {
    println!("id          {}", user.id);
    println!("email       {}", user.email.spelling());
    println!("full_name   {:?}", user.profile.full_name);
    println!("status      {}", user.status.as_str());
    println!(
        "password    {}",
        if user.password.is_some() {
            "set"
        } else {
            "not set"
        }
    );
    println!("created_at  {}", user.created_at);
    println!("updated_at  {}", user.updated_at);
}
