//! The identity that the server records for this process.

use crate::{
    model::error::{Error, Result},
    sys,
};

const DEFAULT: &str = "{pid}@{host}";
const DEFAULT_IN_JOB: &str = "{pid}@{host}/{job}";

/// The batch systems: a name, the variable with the job's id, and a variable with the index of a part of the job.
const JOBS: [(&str, &str, Option<&str>); 6] = [
    ("slurm", "SLURM_JOB_ID", Some("SLURM_PROCID")),
    ("pbs", "PBS_JOBID", None),
    ("lsf", "LSB_JOBID", Some("LSB_JOBINDEX")),
    ("sge", "JOB_ID", Some("SGE_TASK_ID")),
    ("aws-batch", "AWS_BATCH_JOB_ID", Some("AWS_BATCH_JOB_ARRAY_INDEX")),
    ("pod", "POD_NAME", None),
];
/// Set in a Kubernetes pod. The host name is then the pod's name, unless the pod uses its node's network.
const IN_POD: &str = "KUBERNETES_SERVICE_HOST";

/// A template of an identity. Its parts are filled in when it is used, because a forked child is another process.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity(Option<String>);

impl Identity {
    /// Checks the template that `source` gave.
    pub fn parse(source: &str, template: Option<String>) -> Result<Self> {
        if let Some(template) = &template {
            fill(template, |name| matches!(name, "pid" | "host" | "job").then(String::new)).map_err(
                |why| {
                    Error::config(format!(
                        "{source} {why}: only {{pid}}, {{host}} and {{job}} may be in braces"
                    ))
                },
            )?;
        }
        Ok(Identity(template))
    }

    /// Returns the identity of this process.
    pub fn resolve(&self) -> String {
        self.resolve_with(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn resolve_with(&self, variable: impl Fn(&str) -> Option<String>) -> String {
        let host = sys::host::name();
        let job = job(&host, variable);
        let default = if job.is_some() { DEFAULT_IN_JOB } else { DEFAULT };
        let part = |name: &str| match name {
            "pid" => Some(std::process::id().to_string()),
            "host" => Some(host.clone()),
            "job" => Some(job.clone().unwrap_or_default()),
            _ => None,
        };
        fill(self.0.as_deref().unwrap_or(default), part).unwrap_or_default()
    }
}

/// Returns the batch job of this process, as `kind-id`.
fn job(host: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let in_pod = variable(IN_POD).is_some();
    JOBS.iter().find_map(|(kind, id, part)| {
        let id = variable(id)?;
        // Other programs may set such variables too. A pod name that equals the host name adds nothing.
        let known = match *kind {
            "pod" => in_pod && id != host,
            "sge" => variable("SGE_TASK_ID").is_some(),
            _ => true,
        };
        let part = part.and_then(&variable).filter(|part| part != "undefined");
        known.then(|| match part {
            Some(part) => format!("{kind}-{id}.{part}"),
            None => format!("{kind}-{id}"),
        })
    })
}

/// Replaces each `{name}` by the result of `part`.
fn fill(template: &str, part: impl Fn(&str) -> Option<String>) -> std::result::Result<String, &'static str> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("has a brace that isn't closed")?;
        text.push_str(before);
        text.push_str(&part(name).ok_or("names an unknown part")?);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(template: Option<&str>, variables: &[(&str, &str)]) -> String {
        let identity = Identity::parse("options.identity", template.map(str::to_owned)).unwrap();
        identity.resolve_with(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn default_identity_names_process_and_host() {
        let (pid, host) = (std::process::id(), sys::host::name());
        assert_eq!(identity(None, &[]), format!("{pid}@{host}"));
        assert_eq!(identity(Some("solver {pid} on {host}"), &[]), format!("solver {pid} on {host}"));
        assert_eq!(identity(Some("solver-7"), &[("SLURM_JOB_ID", "1")]), "solver-7");
    }

    #[test]
    fn identity_names_the_batch_job() {
        let base = format!("{}@{}", std::process::id(), sys::host::name());
        for (variables, job) in [
            (&[("SLURM_JOB_ID", "4711"), ("SLURM_PROCID", "3")][..], "slurm-4711.3"),
            (&[("PBS_JOBID", "12.server")], "pbs-12.server"),
            (&[("JOB_ID", "5"), ("SGE_TASK_ID", "undefined")], "sge-5"),
            (&[("POD_NAME", "solver-x2"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")], "pod-solver-x2"),
        ] {
            assert_eq!(identity(None, variables), format!("{base}/{job}"));
            assert_eq!(identity(Some("{job}"), variables), job);
        }
    }

    #[test]
    fn variables_of_other_programs_are_not_a_batch_job() {
        let base = format!("{}@{}", std::process::id(), sys::host::name());
        let host = sys::host::name();
        for variables in [
            &[("JOB_ID", "5")][..],
            &[("POD_NAME", "x")],
            &[("POD_NAME", &host), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")],
        ] {
            assert_eq!(identity(None, variables), base);
        }
    }

    #[test]
    fn invalid_template_is_refused() {
        for template in ["{pid", "{user}", "{}"] {
            let error = Identity::parse("options.identity", Some(template.to_owned())).unwrap_err();
            assert!(error.message().starts_with("options.identity") && error.message().contains("{pid}"));
        }
    }
}
