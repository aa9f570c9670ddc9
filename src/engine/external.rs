//! A Temporal server of the user's own, named by Temporal's standard settings.
//!
//! The settings are the ones that every Temporal SDK and the CLI read: `TEMPORAL_ADDRESS` and
//! its companions, and `temporal.toml` (`TEMPORAL_CONFIG_FILE`, or its default place). The
//! server is external as soon as they name an address.

use std::{collections::HashMap, path::Path};

use segue_workflows::traces::client_options;
use temporalio_client::{Client, Connection, ConnectionOptions};
use temporalio_common::{
    data_converters::DataConverter,
    envconfig::{
        ClientConfigProfile, ConfigError, DEFAULT_PROFILE, LoadClientConfigProfileOptions,
        load_client_config_profile,
    },
};

use super::{
    CONNECT_PATIENCE, EngineOptions, Parts, error::EngineError, namespace::Namespace,
    plain_on_loopback,
};

/// The namespace when the settings name none; Temporal's own default.
const DEFAULT_NAMESPACE: &str = "default";

/// Settings that name a server. No `Debug`: they hold the API key.
pub(super) struct Settings {
    profile: ClientConfigProfile,
}

/// Temporal's settings, if they name a server. `environment` stands for the process's own in
/// tests.
pub(super) fn settings(
    environment: Option<&HashMap<String, String>>,
) -> Result<Option<Settings>, EngineError> {
    let variable = |name: &str| match environment {
        Some(map) => map.get(name).cloned(),
        None => std::env::var(name).ok(),
    };
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());

    let file = variable("TEMPORAL_CONFIG_FILE");
    if let Some(file) = &file
        && !Path::new(file).is_file()
    {
        // The SDK takes a missing file for an empty one; somebody who names it wants it read.
        return Err(unusable(format!(
            "TEMPORAL_CONFIG_FILE names {file}, which is not there"
        )));
    }
    let options = LoadClientConfigProfileOptions::default();
    let profile = load_client_config_profile(options, environment).map_err(|e| explain(&e))?;
    if profile.address.as_ref().is_none_or(String::is_empty) {
        let asked_for = variable("TEMPORAL_PROFILE").or(file);
        return match asked_for {
            None => Ok(None),
            Some(_) => Err(unusable(format!(
                "the profile '{}' names no address",
                variable("TEMPORAL_PROFILE").unwrap_or_else(|| DEFAULT_PROFILE.to_owned())
            ))),
        };
    }
    if profile.codec.is_some() {
        tracing::warn!("Temporal's codec settings are not supported, and ignored");
    }
    if profile
        .tls
        .as_ref()
        .is_some_and(|tls| tls.disable_host_verification)
    {
        tracing::warn!("TLS host verification cannot be disabled, and stays on");
    }
    Ok(Some(Settings { profile }))
}

/// Connects to the server that the settings name, and makes the namespace ready.
pub(super) async fn connect(
    settings: Settings,
    options: &EngineOptions,
    converter: DataConverter,
) -> Result<Parts, EngineError> {
    let namespace = settings
        .profile
        .namespace
        .clone()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let mut connection = ConnectionOptions::try_from(settings.profile).map_err(|e| explain(&e))?;
    connection.identity.clone_from(&options.identity);
    connection.connect_timeout = Some(CONNECT_PATIENCE);
    connection.metrics_meter.clone_from(&options.meter);
    plain_on_loopback(&mut connection);
    let address = connection.target.to_string();
    tracing::info!(address, namespace, "connecting to the Temporal server");

    let unreachable = |reason: String| EngineError::Unreachable {
        address: address.clone(),
        reason,
    };
    let connection = tokio::time::timeout(CONNECT_PATIENCE, Connection::connect(connection))
        .await
        .map_err(|_| unreachable(format!("no answer within {CONNECT_PATIENCE:?}")))?
        .map_err(|error| unreachable(error.to_string()))?;

    let place = Namespace {
        connection: &connection,
        address: &address,
        name: &namespace,
    };
    place.check().await?;
    place
        .ensure_search_attributes(&options.search_attributes)
        .await?;
    let server_version = place.server_version().await;
    let client = client_options(namespace, converter);
    let client = Client::new(connection, client).map_err(|error| unreachable(error.to_string()))?;
    Ok(Parts {
        client,
        address,
        server_version,
    })
}

fn explain(error: &ConfigError) -> EngineError {
    unusable(error.to_string())
}

fn unusable(reason: String) -> EngineError {
    EngineError::Settings { reason }
}

#[cfg(test)]
mod tests {

    use super::*;

    /// The environment `pairs`, with a configuration file of this content.
    fn environment(
        file: &str,
        pairs: &[(&str, &str)],
    ) -> (tempfile::TempDir, HashMap<String, String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("temporal.toml");
        std::fs::write(&path, file).unwrap();
        let path = path.to_string_lossy().into_owned();
        let mut map: HashMap<String, String> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        map.entry("TEMPORAL_CONFIG_FILE".to_owned()).or_insert(path);
        (folder, map)
    }

    const FILE: &str = "[profile.default]\naddress = \"a:1\"\n\
                        [profile.cloud]\naddress = \"c:2\"\nnamespace = \"music\"\n\
                        [profile.empty]\nnamespace = \"music\"\n";

    fn found(
        file: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Option<(String, Option<String>)>, String> {
        let (_folder, map) = environment(file, pairs);
        match settings(Some(&map)) {
            Ok(found) => Ok(found.map(|s| (s.profile.address.unwrap(), s.profile.namespace))),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn an_address_makes_the_server_external_wherever_it_stands() {
        let address = |file, pairs: &[_]| found(file, pairs).unwrap().unwrap().0;
        assert_eq!(address(FILE, &[]), "a:1");
        assert_eq!(address(FILE, &[("TEMPORAL_PROFILE", "cloud")]), "c:2");
        assert_eq!(address(FILE, &[("TEMPORAL_ADDRESS", "e:3")]), "e:3");
        assert_eq!(address("", &[("TEMPORAL_ADDRESS", "e:3")]), "e:3");
        let cloud = found(FILE, &[("TEMPORAL_PROFILE", "cloud")])
            .unwrap()
            .unwrap();
        assert_eq!(cloud.1.as_deref(), Some("music"));
    }

    #[test]
    fn settings_that_were_asked_for_and_name_no_server_are_an_error() {
        for (file, pairs, reason) in [
            (
                FILE,
                vec![("TEMPORAL_PROFILE", "empty")],
                "'empty' names no address",
            ),
            (
                FILE,
                vec![("TEMPORAL_PROFILE", "other")],
                "'other' not found",
            ),
            ("", vec![], "'default' names no address"),
            ("[profile", vec![], "loading error"),
            (
                "",
                vec![("TEMPORAL_CONFIG_FILE", "/nowhere.toml")],
                "/nowhere.toml",
            ),
        ] {
            let error = found(file, &pairs).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn an_error_does_not_tell_the_key() {
        let file = "[profile.default]\napi_key = \"hunter2\"\naddress = 7\n";
        let error = found(file, &[]).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let (_folder, map) = environment("", &[("TEMPORAL_ADDRESS", &address)]);
        let settings = settings(Some(&map)).unwrap().unwrap();
        let converter = DataConverter::default();
        let error = connect(settings, &EngineOptions::default(), converter)
            .await
            .err()
            .unwrap();
        assert_eq!(error.code(), "engine_unreachable");
        assert!(error.to_string().contains(&address), "{error}");
    }
}
