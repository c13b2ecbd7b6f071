//! `aidlc-auth users …`: what an operator does to one account.

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Subcommand;
use jiff::Timestamp;

use super::keys;
use crate::app::rules;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::entropy;
use crate::model::email_address::EmailAddress;
use crate::model::suppression::Suppression;
use crate::model::user::{Status, User, UserId};
use crate::secret::Keys;
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
    /// Let the address have mail again, after it bounced or its reader complained.
    Unsuppress {
        /// The address; it needs no account.
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
    let operator = Operator {
        stores,
        // Without keys there is no pseudonym; the row is written all the same.
        keys: keys::at_hand(config),
        now: SystemClock.now(),
    };
    runtime.block_on(async {
        // The embedded store was looked at when it was opened; a server is looked at here.
        operator.stores.users.prepare().await?;
        match command {
            Users::Show { email } => operator.show(&address(email)?).await,
            Users::Deactivate { email } => {
                operator.set(&address(email)?, Status::Deactivated).await
            }
            Users::Activate { email } => operator.set(&address(email)?, Status::Active).await,
            Users::Unsuppress { email } => operator.unsuppress(&address(email)?).await,
            Users::Forgive { email } => operator.forgive(&address(email)?).await,
        }
    })
}

fn address(typed: &str) -> Result<EmailAddress> {
    EmailAddress::parse(typed).map_err(|_| anyhow!("{typed:?} is no e-mail address"))
}

/// Someone at a terminal beside the service. What they change is a row of the audit trail, and is
/// printed; the log belongs to the service, which may not even run.
struct Operator {
    stores: Stores,
    keys: Option<Keys>,
    now: Timestamp,
}

impl Operator {
    async fn show(&self, email: &EmailAddress) -> Result<()> {
        let users = &self.stores.users;
        let (user, suppression) = (users.peek(email).await?, users.suppression(email).await?);
        // Of an address without an account too: that is where registrations get stuck.
        if let Some(suppression) = &suppression {
            print_suppression(suppression);
        }
        match user {
            Some(user) => print(&user),
            None => bail!("no account has this address"),
        }
        Ok(())
    }

    async fn unsuppress(&self, email: &EmailAddress) -> Result<()> {
        let users = &self.stores.users;
        let user = users.find(email).await?.map(|user| user.id);
        let audit = self.event("suppression", "lifted", user, email);
        if !users.unsuppress(email, &audit).await? {
            bail!("this address is not suppressed: mail goes to it");
        }
        println!("the address gets mail again");
        print_event(&audit);
        Ok(())
    }

    async fn set(&self, email: &EmailAddress, status: Status) -> Result<()> {
        let audit = self.event("account", status.as_str(), None, email);
        let users = &self.stores.users;
        let Some(change) = users.set_status(email, status, &audit).await? else {
            bail!("no account has this address");
        };
        print(&change.user);
        print_event(&audit);
        // A service that runs beside this sees it at the next request: both read the same store.
        let followed = follow_up::perform(&self.stores, &change, self.now).await;
        followed.context(
            "the status is set, but sessions and codes did not end yet: any copy of the service ends them \
             within two minutes of being able to, or do this again",
        )
    }

    async fn forgive(&self, email: &EmailAddress) -> Result<()> {
        let Stores {
            users, challenges, ..
        } = &self.stores;
        let user = users.find(email).await?.map(|user| user.id);
        challenges.forgive(email).await?;
        println!("the address has its budgets back");
        let audit = self.event("budgets", "forgiven", user, email);
        let written = users.audit(std::slice::from_ref(&audit)).await;
        written.context("but the audit trail does not say so")?;
        print_event(&audit);
        Ok(())
    }

    fn event(
        &self,
        event: &'static str,
        outcome: &'static str,
        user: Option<UserId>,
        email: &EmailAddress,
    ) -> AuditRow {
        let keys = self.keys.as_ref();
        AuditRow {
            id: entropy::row_id(self.now),
            at: self.now,
            event,
            outcome,
            user,
            subject: keys.map(|keys| keys.pseudonym(email.normal())),
            client: None,
            request_id: "operator".into(),
        }
    }
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

fn print_suppression(suppression: &Suppression) {
    println!(
        "suppressed  {} {}, since {}",
        suppression.reason.as_str(),
        suppression.detail,
        suppression.at
    );
}

fn print_event(row: &AuditRow) {
    let subject = row.subject.as_deref().unwrap_or("unknown: no keys here");
    println!(
        "audit       {} {}, subject {subject}",
        row.event, row.outcome
    );
}
