//! Reads the options of a worker.

use serde_json::value::RawValue;

use crate::{
    activity::options::OpenOptions,
    model::{
        error::{Error, Result},
        json::{self, Object},
    },
};

/// The default number of slots. The SDKs use the same number.
const DEFAULT_CONCURRENT: i64 = 100;
/// The most slots of a worker.
const MAX_CONCURRENT: i64 = 100_000;
/// The lowest and the highest rate limit, in tasks a second.
const RATES: std::ops::RangeInclusive<f64> = 0.001..=1e6;

/// The options of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerOptions {
    /// The name of the task queue.
    pub task_queue: String,
    /// The types of the activities that the worker runs; empty: every type.
    pub activity_types: Vec<String>,
    /// The number of slots.
    pub max_concurrent: usize,
    /// The most tasks in a second; `None`: no limit.
    pub max_per_second: Option<f64>,
    /// After this number of tasks the worker shuts down; `None`: no limit.
    pub max_tasks: Option<u64>,
    /// The worker version; `None`: for tasks without a version.
    pub deployment: Option<Deployment>,
    /// The options of each task's activity.
    pub activity: OpenOptions,
}

/// A build of a worker deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// The deployment's name.
    pub name: String,
    /// The id of the build.
    pub build_id: String,
}

impl WorkerOptions {
    /// Reads the options from JSON.
    pub fn read(json: &[u8]) -> Result<Self> {
        json::read("options", json, Self::from_object)
    }

    fn from_object(options: &mut Object<'_>) -> Result<Self> {
        let task_queue = options.string("task_queue")?.filter(|name| !name.is_empty());
        let count = |number: i64| usize::try_from(number).unwrap_or_default();
        let max_concurrent = options.integer("max_concurrent", 1..=MAX_CONCURRENT)?;
        let deployment_name = options.string("deployment_name")?.filter(|name| !name.is_empty());
        let build_id = options.string("build_id")?.filter(|id| !id.is_empty());
        Ok(WorkerOptions {
            task_queue: task_queue.ok_or_else(|| {
                Error::config(format!("{} is missing: it names the task queue", options.at("task_queue")))
            })?,
            activity_types: activity_types(options)?,
            max_concurrent: count(max_concurrent.unwrap_or(DEFAULT_CONCURRENT)),
            max_per_second: options.decimal("max_per_second", RATES)?,
            max_tasks: options.integer("max_tasks", 1..=i64::MAX)?.map(i64::unsigned_abs),
            deployment: match (deployment_name, build_id) {
                (Some(name), Some(build_id)) => Some(Deployment { name, build_id }),
                (None, None) => None,
                _ => {
                    return Err(Error::config(format!(
                        "{} and build_id must be given together",
                        options.at("deployment_name")
                    )));
                }
            },
            activity: options.object("activity", OpenOptions::of_task)?.unwrap_or_else(OpenOptions::new),
        })
    }
}

fn activity_types(options: &mut Object<'_>) -> Result<Vec<String>> {
    let types = options.array("activity_types")?.unwrap_or_default();
    let wrong = || {
        Error::config(format!(
            "{} must be an array of strings that aren't empty",
            options.at("activity_types")
        ))
    };
    let read = |text: &RawValue| {
        let name: Option<String> = serde_json::from_str(text.get()).ok();
        name.filter(|name| !name.is_empty()).ok_or_else(wrong)
    };
    types.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::Status;

    #[test]
    fn every_option_sets_its_field() {
        let options = WorkerOptions::read(
            br#"{"task_queue":"q","activity_types":["a","b"],"max_concurrent":3,"max_per_second":0.5,"max_tasks":9,
                 "deployment_name":"d","build_id":"1","activity":{"pulse":false,"verify":true}}"#,
        );
        let expected = WorkerOptions {
            task_queue: "q".into(),
            activity_types: vec!["a".into(), "b".into()],
            max_concurrent: 3,
            max_per_second: Some(0.5),
            max_tasks: Some(9),
            deployment: Some(Deployment { name: "d".into(), build_id: "1".into() }),
            activity: OpenOptions { pulse: false, verify: true, ..OpenOptions::new() },
        };
        assert_eq!(options.unwrap(), expected);
        let defaults = WorkerOptions::read(br#"{"task_queue":"q"}"#).unwrap();
        assert_eq!((defaults.max_concurrent, defaults.activity), (100, OpenOptions::new()));
    }

    #[test]
    fn mistakes_are_configuration_errors_that_name_the_key() {
        for (json, key) in [
            ("{}", "options.task_queue"),
            (r#"{"task_queue":""}"#, "options.task_queue"),
            (r#"{"task_queue":"q","activity_types":"a"}"#, "options.activity_types"),
            (r#"{"task_queue":"q","activity_types":["a",""]}"#, "options.activity_types"),
            (r#"{"task_queue":"q","activity_types":[null]}"#, "options.activity_types"),
            (r#"{"task_queue":"q","max_concurrent":0}"#, "options.max_concurrent"),
            (r#"{"task_queue":"q","max_per_second":0}"#, "options.max_per_second"),
            (r#"{"task_queue":"q","build_id":"1"}"#, "options.deployment_name"),
            (r#"{"task_queue":"q","activity":{"puls":true}}"#, "options.activity.puls"),
            (r#"{"task_queue":"q","activity":{"from_env":true}}"#, "options.activity.from_env"),
            (r#"{"task_queue":"q","activity":{"activity_id":"a"}}"#, "options.activity.activity_id"),
        ] {
            let error = WorkerOptions::read(json.as_bytes()).unwrap_err();
            assert_eq!(error.status(), Status::Config, "{json}");
            assert!(error.message().starts_with(key), "{error}");
        }
    }
}
