//! Makes a namespace ready for Segue: its search attributes, how long it remembers, who serves it.

use std::{collections::HashMap, time::Duration};

use temporalio_client::{
    Connection,
    grpc::{OperatorService, WorkflowService},
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType,
    namespace::v1::NamespaceConfig,
    operatorservice::v1::{AddSearchAttributesRequest, ListSearchAttributesRequest},
    workflowservice::v1::{
        DescribeNamespaceRequest, DescribeNamespaceResponse, GetSystemInfoRequest,
        UpdateNamespaceRequest,
    },
};
use tokio::time::sleep;

use super::error::EngineError;

/// How long the managed engine remembers a finished sync. A dev server's own day is too short:
/// who starts a long sync on Friday asks for its report on Monday, or after the holidays.
pub(super) const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often a change is tried: another Segue may be making it just now.
const MOST_TRIES: u32 = 20;

/// Time in which every part of a server has heard of a new search attribute: Temporal's
/// `system.namespaceCacheRefreshInterval` is 2 s. Before that it refuses a workflow that has one.
pub(super) const LEARNT_WITHIN: Duration = Duration::from_millis(2500);

/// The wait between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// A namespace on a server that is connected.
pub(super) struct Namespace<'a> {
    pub(super) connection: &'a Connection,
    pub(super) address: &'a str,
    pub(super) name: &'a str,
}

impl Namespace<'_> {
    /// The server's version, such as `1.32.0`; empty if it keeps that to itself.
    pub(super) async fn server_version(&self) -> String {
        let request = GetSystemInfoRequest::default().into_request();
        WorkflowService::get_system_info(&mut *self.connection.workflow_service(), request)
            .await
            .map(|response| response.into_inner().server_version)
            .unwrap_or_default()
    }

    /// Checks that the namespace exists.
    pub(super) async fn check(&self) -> Result<(), EngineError> {
        self.describe().await.map(drop)
    }

    /// Lets the server forget finished workflows after [`RETENTION`], not earlier.
    pub(super) async fn remember_for_long(&self) -> Result<(), EngineError> {
        let mut tries = 0;
        loop {
            let retention = self
                .describe()
                .await?
                .config
                .and_then(|config| config.workflow_execution_retention_ttl);
            let wanted = i64::try_from(RETENTION.as_secs()).unwrap_or(i64::MAX);
            if retention.is_some_and(|retention| retention.seconds >= wanted) {
                return Ok(());
            }
            tries += 1;
            match self.set_retention().await {
                Ok(()) => return Ok(()),
                Err(status) if is_final(&status) || tries == MOST_TRIES => {
                    return Err(self.refused("change the namespace's retention", &status));
                }
                // Of several that change it at once the server takes one: the next look tells.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn set_retention(&self) -> Result<(), Status> {
        let request = UpdateNamespaceRequest {
            namespace: self.name.to_owned(),
            config: Some(NamespaceConfig {
                workflow_execution_retention_ttl: RETENTION.try_into().ok(),
                ..Default::default()
            }),
            ..Default::default()
        };
        WorkflowService::update_namespace(
            &mut *self.connection.workflow_service(),
            request.into_request(),
        )
        .await
        .map(drop)
    }

    /// Creates the search attributes of `wanted` that are missing, with type Keyword.
    pub(super) async fn ensure_search_attributes(
        &self,
        wanted: &[String],
    ) -> Result<(), EngineError> {
        let mut last_refusal = "they do not appear".to_owned();
        let mut is_new = false;
        for _ in 0..MOST_TRIES {
            let missing = match self.missing(wanted).await {
                Ok(missing) if missing.is_empty() => {
                    if is_new {
                        sleep(LEARNT_WITHIN).await;
                    }
                    return Ok(());
                }
                Ok(missing) => missing,
                Err(status) if is_final(&status) => {
                    // They may well be there. If not, the server refuses the first sync by name.
                    tracing::warn!(
                        namespace = self.name,
                        reason = status.message(),
                        "the search attributes cannot be listed; if they are missing, run: {}",
                        create_command(self.name, wanted)
                    );
                    return Ok(());
                }
                Err(status) => {
                    status.message().clone_into(&mut last_refusal);
                    sleep(PAUSE).await;
                    continue;
                }
            };
            is_new = true;
            match self.add(&missing).await {
                // Added, or somebody else was faster: the next look tells.
                Ok(()) => {}
                Err(status) if is_final(&status) => {
                    return Err(self.attributes_refused(&missing, status.message()));
                }
                Err(status) => {
                    status.message().clone_into(&mut last_refusal);
                    sleep(PAUSE).await;
                }
            }
        }
        Err(self.attributes_refused(wanted, &last_refusal))
    }

    async fn missing(&self, wanted: &[String]) -> Result<Vec<String>, Status> {
        let request = ListSearchAttributesRequest {
            namespace: self.name.to_owned(),
        };
        let present = OperatorService::list_search_attributes(
            &mut *self.connection.operator_service(),
            request.into_request(),
        )
        .await?
        .into_inner();
        let is_missing = |name: &&String| {
            !present.custom_attributes.contains_key(*name)
                && !present.system_attributes.contains_key(*name)
        };
        Ok(wanted.iter().filter(is_missing).cloned().collect())
    }

    async fn add(&self, names: &[String]) -> Result<(), Status> {
        let keyword = i32::from(IndexedValueType::Keyword);
        let request = AddSearchAttributesRequest {
            search_attributes: names
                .iter()
                .map(|name| (name.clone(), keyword))
                .collect::<HashMap<_, _>>(),
            namespace: self.name.to_owned(),
        };
        OperatorService::add_search_attributes(
            &mut *self.connection.operator_service(),
            request.into_request(),
        )
        .await
        .map(drop)
    }

    async fn describe(&self) -> Result<DescribeNamespaceResponse, EngineError> {
        let request = DescribeNamespaceRequest {
            namespace: self.name.to_owned(),
            ..Default::default()
        };
        WorkflowService::describe_namespace(
            &mut *self.connection.workflow_service(),
            request.into_request(),
        )
        .await
        .map(temporalio_client::tonic::Response::into_inner)
        .map_err(|status| match status.code() {
            Code::NotFound => EngineError::NoNamespace {
                address: self.address.to_owned(),
                namespace: self.name.to_owned(),
            },
            _ => self.refused("describe the namespace", &status),
        })
    }

    fn refused(&self, action: &'static str, status: &Status) -> EngineError {
        EngineError::Refused {
            address: self.address.to_owned(),
            action,
            reason: format!("{:?}: {}", status.code(), status.message()),
        }
    }

    fn attributes_refused(&self, names: &[String], reason: &str) -> EngineError {
        EngineError::SearchAttributes {
            namespace: self.name.to_owned(),
            reason: reason.to_owned(),
            command: create_command(self.name, names),
        }
    }
}

/// The command that creates the search attributes `names`.
fn create_command(namespace: &str, names: &[String]) -> String {
    let options: String = names
        .iter()
        .map(|name| format!(" --name {name} --type Keyword"))
        .collect();
    format!("temporal operator search-attribute create --namespace {namespace}{options}")
}

/// Whether asking again cannot help.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::InvalidArgument
            | Code::FailedPrecondition
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_each_attribute() {
        assert_eq!(
            create_command("music", &["UserId".to_owned(), "TrackName".to_owned()]),
            "temporal operator search-attribute create --namespace music \
             --name UserId --type Keyword --name TrackName --type Keyword"
        );
    }

    #[test]
    fn a_refusal_for_good_is_told_from_a_busy_server() {
        assert!(is_final(&Status::permission_denied("")));
        assert!(is_final(&Status::unimplemented("")));
        assert!(!is_final(&Status::unavailable("")));
        assert!(!is_final(&Status::already_exists("")));
    }
}
