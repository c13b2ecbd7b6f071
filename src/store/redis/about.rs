//! What a server says of itself, and what an operator should know of that.

/// The text of `INFO`; empty where we may not ask.
pub(super) struct About<'a>(pub &'a str);

impl About<'_> {
    /// Whether it is one of many that each have a part of the keys.
    pub fn is_of_cluster(&self) -> bool {
        self.is("cluster_enabled", "1")
    }

    /// What is amiss, with what to do about it.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(policy) = self.evicts_by() {
            remarks.push(format!(
                "Redis has maxmemory-policy {policy}: when its memory is full it forgets sessions, \
                 limits and mails that are owed, and says nothing. Set it to noeviction"
            ));
        }
        if self.forgets() {
            remarks.push(
                "Redis keeps no append-only file: whoever is signed in is signed out when it \
                 restarts, and codes that were mailed no longer work. Set appendonly to yes"
                    .to_owned(),
            );
        }
        remarks
    }

    /// The policy by which it forgets something when its memory is full, if it does.
    pub fn evicts_by(&self) -> Option<&str> {
        self.says("maxmemory_policy").filter(|p| *p != "noeviction")
    }

    /// Whether nothing is left when it ends.
    pub fn forgets(&self) -> bool {
        self.is("aof_enabled", "0")
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.says(name) == Some(value)
    }

    /// What it says under a name.
    pub fn says(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: &str = "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\
                        # Persistence\r\naof_enabled:1\r\n# Cluster\r\ncluster_enabled:0\r\n";

    #[test]
    fn only_what_is_amiss_is_remarked() {
        let remarks = |said: &str| About(said).remarks();
        assert!(remarks(WELL).is_empty());
        assert!(remarks("").is_empty());
        let [evicts] = &remarks(&WELL.replace("noeviction", "volatile-lru"))[..] else {
            panic!("it may evict");
        };
        assert!(evicts.contains("volatile-lru"));
        assert_eq!(
            remarks(&WELL.replace("aof_enabled:1", "aof_enabled:0")).len(),
            1
        );
        assert!(!About(WELL).is_of_cluster());
        assert!(About(&WELL.replace("cluster_enabled:0", "cluster_enabled:1")).is_of_cluster());
    }
}
