//! The engine: whether it answers, its namespace, its search attributes, its clock, and the ports.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use temporalio_client::{
    Url,
    grpc::{OperatorService, WorkflowService},
    tonic::IntoRequest,
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType, operatorservice::v1::ListSearchAttributesRequest,
    workflowservice::v1::DescribeNamespaceRequest,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{check::Check, clock};
use crate::{
    config::Config,
    engine::{CLI_VERSION, Engine, EngineError, EngineKind},
    home::Home,
};

const ENGINE: &str = "engine";
const NAMESPACE: &str = "namespace";
const ATTRIBUTES: &str = "search attributes";
const CLOCK: &str = "engine clock";
const PORTS: &str = "ports";

/// The oldest server that is meant to work.
const OLDEST: (u32, u32) = (1, 29);
/// Days that finished syncs should be remembered at least: reports are asked for after a weekend.
const SHORT_MEMORY_DAYS: i64 = 7;
/// How long a port gets to answer.
const PORT_PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn checks(config: &Config, home: &Home) -> Vec<Check> {
    let options = config.engine_options();
    let connected = Engine::connect(&options, home).await;
    let ports = ports(&connected).await;
    let mut checks = match &connected {
        Ok(engine) => vec![
            of_engine(engine),
            namespace(engine).await,
            search_attributes(engine, &options.search_attributes).await,
            clock_of(engine).await,
        ],
        Err(error) => of_error(error),
    };
    checks.push(ports);
    checks
}

/// Whether what the engine keeps is encrypted. The engine, which is started before, has made the key.
pub(super) fn encryption(config: &Config, home: &Home) -> Check {
    const PART: &str = "encryption";
    let sealing = config.engine_options().sealing;
    let kind = match Engine::is_external() {
        Ok(true) => EngineKind::External,
        Ok(false) => EngineKind::Managed,
        Err(error) => return Check::not_checked(PART, error.to_string()),
    };
    let file = sealing.keys(home);
    let path = file.path().display().to_string();
    let keys = match file.list() {
        Ok(keys) => keys,
        Err(error) => {
            return Check::broken(PART, format!("{error:#}"), format!("chmod 600 '{path}'"));
        }
    };
    match (sealing.encrypts(kind), keys.iter().find(|key| key.encrypts)) {
        (true, Some(key)) => Check::ok(
            PART,
            format!(
                "payloads are encrypted by the key {} of {} in {path}",
                key.id,
                keys.len()
            ),
        ),
        (true, None) => Check::broken(PART, format!("there is no key in {path}"), "segue key new"),
        (false, _) if kind == EngineKind::External => Check::ok(
            PART,
            "payloads are not encrypted: whoever may read the namespace reads them",
        ),
        (false, _) => Check::attention(
            PART,
            "payloads are not encrypted: other users of this machine can ask the engine for them",
            "unset SEGUE_ENCRYPT_PAYLOADS and encrypt_payloads",
        ),
    }
}

fn of_engine(engine: &Engine) -> Check {
    let version = engine.server_version();
    let finding = format!(
        "{:?}, Temporal server {} at {} (the managed CLI is {CLI_VERSION})",
        engine.kind(),
        version,
        engine.address(),
    );
    match parsed(version) {
        Some(version) if version < OLDEST => Check::broken(
            ENGINE,
            format!("{finding}: older than {}.{}", OLDEST.0, OLDEST.1),
            "update the Temporal server",
        ),
        _ => Check::ok(ENGINE, finding),
    }
}

/// The first two numbers of a version; nothing if a server does not tell.
fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// What a failure to connect says of each part.
fn of_error(error: &EngineError) -> Vec<Check> {
    let skipped = |part, why: &str| Check::not_checked(part, why);
    let mut checks = Vec::new();
    match error {
        EngineError::NoNamespace { namespace, .. } => {
            checks.push(Check::ok(ENGINE, "it answers"));
            let mend = format!("temporal operator namespace create --namespace {namespace}");
            checks.push(Check::broken(NAMESPACE, error.to_string(), mend));
        }
        EngineError::SearchAttributes { command, .. } => {
            checks.push(Check::ok(ENGINE, "it answers"));
            checks.push(Check::ok(NAMESPACE, "it is there"));
            checks.push(Check::broken(ATTRIBUTES, error.to_string(), command));
        }
        other => checks.push(Check::broken(ENGINE, other.to_string(), mend(other))),
    }
    for part in [NAMESPACE, ATTRIBUTES, CLOCK] {
        if !checks.iter().any(|check| check.part == part) {
            checks.push(skipped(part, "the engine cannot be used"));
        }
    }
    checks
}

/// The command that mends it, or shows more.
fn mend(error: &EngineError) -> String {
    match error {
        EngineError::Home(_) | EngineError::File { .. } => {
            "set SEGUE_HOME to a writable folder".to_owned()
        }
        EngineError::ConfiguredCli { .. } => {
            "unset SEGUE_TEMPORAL_CLI, or let it name a Temporal CLI".to_owned()
        }
        EngineError::NoCli { .. } => {
            "install the Temporal CLI (https://docs.temporal.io/cli), or set TEMPORAL_ADDRESS"
                .to_owned()
        }
        EngineError::Supervisor { .. } => "reinstall Segue".to_owned(),
        EngineError::Crashed { log, .. } | EngineError::StartTimeout { log, .. } => {
            format!("tail -n 50 '{}'", log.display())
        }
        EngineError::Settings { .. } => "correct TEMPORAL_… or temporal.toml".to_owned(),
        EngineError::Keys { .. } => "segue key list".to_owned(),
        EngineError::Unreachable { address, .. } | EngineError::Refused { address, .. } => {
            let place = place_of(address).map(|(host, port)| format!("{host}:{port}"));
            let place = place.unwrap_or_else(|| address.clone());
            format!("temporal operator cluster health --address {place}")
        }
        EngineError::NoNamespace { .. } | EngineError::SearchAttributes { .. } => String::new(),
    }
}

/// Host and port of the engine's address.
fn place_of(address: &str) -> Option<(String, u16)> {
    let url = Url::parse(address).ok()?;
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

async fn namespace(engine: &Engine) -> Check {
    let name = engine.namespace();
    let request = DescribeNamespaceRequest {
        namespace: name.clone(),
        ..Default::default()
    };
    let connection = engine.client().connection();
    let described = WorkflowService::describe_namespace(
        &mut *connection.workflow_service(),
        request.into_request(),
    )
    .await;
    let described = match described {
        Ok(described) => described.into_inner(),
        Err(status) => return Check::not_checked(NAMESPACE, status.message()),
    };
    let kept = described
        .config
        .and_then(|config| config.workflow_execution_retention_ttl)
        .map(|kept| kept.seconds / (24 * 3600));
    match kept {
        Some(days) if days < SHORT_MEMORY_DAYS => Check::attention(
            NAMESPACE,
            format!("{name}; finished syncs are forgotten after {days} day(s)"),
            format!("temporal operator namespace update --namespace {name} --retention 30d"),
        ),
        Some(days) => Check::ok(
            NAMESPACE,
            format!("{name}; finished syncs are remembered for {days} days"),
        ),
        None => Check::ok(NAMESPACE, name),
    }
}

async fn search_attributes(engine: &Engine, wanted: &[String]) -> Check {
    let name = engine.namespace();
    let request = ListSearchAttributesRequest {
        namespace: name.clone(),
    };
    let connection = engine.client().connection();
    let listed = OperatorService::list_search_attributes(
        &mut *connection.operator_service(),
        request.into_request(),
    )
    .await;
    let present: BTreeMap<String, i32> = match listed {
        Ok(listed) => {
            let listed = listed.into_inner();
            let both = listed.custom_attributes.into_iter();
            both.chain(listed.system_attributes).collect()
        }
        // Temporal Cloud shows them to administrators alone.
        Err(status) => return Check::not_checked(ATTRIBUTES, status.message()),
    };
    let keyword = i32::from(IndexedValueType::Keyword);
    let wrong: Vec<&str> = wanted
        .iter()
        .filter(|name| present.get(*name) != Some(&keyword))
        .map(String::as_str)
        .collect();
    if wrong.is_empty() {
        return Check::ok(ATTRIBUTES, format!("all {} are there", wanted.len()));
    }
    let options: String = wrong
        .iter()
        .map(|name| format!(" --name {name} --type Keyword"))
        .collect();
    let remove: String = wrong
        .iter()
        .filter(|name| present.contains_key(**name))
        .map(|attribute| {
            format!(
                "temporal operator search-attribute remove --namespace {name} --name {attribute} && "
            )
        })
        .collect();
    Check::broken(
        ATTRIBUTES,
        format!("missing, or not of type Keyword: {}", wrong.join(", ")),
        format!("{remove}temporal operator search-attribute create --namespace {name}{options}"),
    )
}

async fn clock_of(engine: &Engine) -> Check {
    if engine.kind() == EngineKind::Managed {
        return Check::ok(CLOCK, "it runs on this machine");
    }
    match clock::engine_ahead(engine.client()).await {
        Some(seconds) => clock::judged(CLOCK, "the engine's", seconds),
        None => Check::not_checked(CLOCK, "the engine does not tell its time"),
    }
}

/// The engine's port, and those of this machine that `segue login` and the engine open.
async fn ports(connected: &Result<Engine, EngineError>) -> Check {
    if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await {
        return Check::broken(
            PORTS,
            format!("no port of 127.0.0.1 can be opened: {error}"),
            "allow this program to listen on 127.0.0.1",
        );
    }
    match connected {
        Ok(engine) => Check::ok(
            PORTS,
            format!(
                "the engine's at {}; others are free for `segue login`",
                engine.address()
            ),
        ),
        Err(EngineError::Unreachable { address, .. }) => {
            let Some(place) = place_of(address) else {
                return Check::not_checked(PORTS, "the engine's address cannot be read");
            };
            let shown = format!("{}:{}", place.0, place.1);
            match timeout(PORT_PATIENCE, TcpStream::connect(place)).await {
                Ok(Ok(_)) => Check::attention(
                    PORTS,
                    format!("something listens at {shown}, and does not speak as Temporal does"),
                    "let TEMPORAL_ADDRESS name the port of Temporal's frontend, or set up TLS",
                ),
                Ok(Err(error)) => Check::broken(
                    PORTS,
                    format!("nothing answers at {shown}: {error}"),
                    "start the Temporal server, correct TEMPORAL_ADDRESS, or unset it for the managed engine",
                ),
                Err(_) => Check::broken(
                    PORTS,
                    format!("{shown} does not answer"),
                    "let the firewall pass that port, or correct TEMPORAL_ADDRESS",
                ),
            }
        }
        Err(_) => Check::ok(PORTS, "ports of 127.0.0.1 can be opened"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_far_as_it_decides() {
        assert_eq!(parsed("1.32.0"), Some((1, 32)));
        assert_eq!(parsed("1.28.0-rc.1"), Some((1, 28)));
        assert_eq!(parsed(""), None);
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let place = Some(("127.0.0.1".to_owned(), 7233));
        assert_eq!(place_of("http://127.0.0.1:7233/"), place);
        assert_eq!(place_of("nowhere"), None);
    }
}
