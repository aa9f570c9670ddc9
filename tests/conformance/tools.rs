//! The tools that the suite calls, over the durable tasks.

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
        ClientCapabilities, ContentBlock, ElicitResult, GetTaskParams, GetTaskResult,
        Implementation, InputRequest, InputRequiredResult, JsonObject, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, UpdateTaskParams,
    },
    service::RequestContext,
};
use segue_tools::tasks::{self, Retention, Standing, TaskStore};
use serde_json::{Value, json};
use temporalio_client::Client;

use crate::{
    job::{Order, question},
    jobs::{self, Jobs},
};

/// A tool: its name, what it does, and its arguments, each with its type.
type Described = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// Each tool: its name, what it does, and its arguments with their types.
const TOOLS: [Described; 10] = [
    ("greet", "Greets at once.", &[("name", "string")]),
    (
        "slow_compute",
        "Takes its time.",
        &[("seconds", "number"), ("label", "string")],
    ),
    (
        "failing_job",
        "Ends badly after a second; as a task alone.",
        &[],
    ),
    ("protocol_error_job", "Breaks; as a task alone.", &[]),
    (
        "confirm_delete",
        "Asks before it deletes; as a task alone.",
        &[("filename", "string")],
    ),
    (
        "multi_input",
        "Asks two things at once; as a task alone.",
        &[],
    ),
    (
        "test_tool_with_task",
        "Asks who is to be greeted, and greets as a task.",
        &[],
    ),
    (
        "test_missing_capability",
        "Wants a client that samples.",
        &[],
    ),
    (
        "test_streaming_elicitation",
        "Asks, and is called again.",
        &[],
    ),
    (
        "test_logging_tool",
        "Says that it is done, and logs nothing to the client.",
        &[],
    ),
];

/// The most seconds that `slow_compute` takes.
const LONGEST_SECONDS: f64 = 3600.0;

/// The server.
#[derive(Clone)]
pub(crate) struct Tools {
    client: Client,
    retention: Retention,
}

impl Tools {
    pub(crate) fn on(client: Client) -> Self {
        Self {
            client,
            retention: Retention::default(),
        }
    }

    fn tasks(&self) -> TaskStore<Jobs> {
        TaskStore::new(self.client.clone(), self.retention.clone(), Jobs)
    }

    /// Answers with a task that carries out this order.
    async fn begin(
        &self,
        order: Order,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !tasks::is_declared(context) {
            let needed = ClientCapabilities::builder().enable_tasks().build();
            return Err(ErrorData::missing_required_client_capability(needed));
        }
        let id = jobs::start(&self.client, order).await?;
        Ok(CallToolResponse::Task(self.tasks().created(&id).await?))
    }

    async fn slow_compute(
        &self,
        arguments: &JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let seconds = arguments.get("seconds").and_then(Value::as_f64);
        let seconds = seconds.filter(|seconds| (0.0..=LONGEST_SECONDS).contains(seconds));
        let seconds = seconds.ok_or_else(|| wrong("seconds"))?;
        let order = Order::SlowCompute {
            milliseconds: (seconds * 1000.0) as u64,
            label: text(arguments, "label")?,
        };
        if tasks::is_declared(context) {
            return self.begin(order, context).await;
        }
        let id = jobs::start(&self.client, order).await?;
        match jobs::result(&self.client, &id).await? {
            Standing::Completed { result, .. } => Ok((*result).into()),
            other => Err(ErrorData::internal_error(format!("{other:?}"), None)),
        }
    }
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tasks();
        let mut info = ServerConfig::new(capabilities.build());
        info.server_info = Implementation::new("segue-conformance", env!("CARGO_PKG_VERSION"));
        info
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = TOOLS.map(|(name, says, arguments)| {
            let properties: JsonObject = arguments
                .iter()
                .map(|(name, kind)| ((*name).to_owned(), json!({"type": kind})))
                .collect();
            let required: Vec<&str> = arguments.iter().map(|(name, _)| *name).collect();
            let schema = JsonObject::from_iter([
                ("type".to_owned(), json!("object")),
                ("properties".to_owned(), Value::Object(properties)),
                ("required".to_owned(), json!(required)),
            ]);
            Tool::new(name, says, schema)
        });
        Ok(ListToolsResult::with_all_items(tools.into()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        match request.name.as_ref() {
            "greet" => Ok(said(format!("Hello, {}!", text(&arguments, "name")?))),
            "slow_compute" => self.slow_compute(&arguments, &context).await,
            "failing_job" => self.begin(Order::FailingJob, &context).await,
            "protocol_error_job" => self.begin(Order::ProtocolErrorJob, &context).await,
            "confirm_delete" => {
                let filename = text(&arguments, "filename")?;
                self.begin(Order::ConfirmDelete { filename }, &context)
                    .await
            }
            "multi_input" => self.begin(Order::MultiInput, &context).await,
            "test_tool_with_task" => match user_name(request.input_responses.as_ref()) {
                Some(user_name) => self.begin(Order::Greeting { user_name }, &context).await,
                None => ask_for_user_name(),
            },
            "test_streaming_elicitation" => match user_name(request.input_responses.as_ref()) {
                Some(user_name) => Ok(said(format!("Hello, {user_name}!"))),
                None => ask_for_user_name(),
            },
            "test_missing_capability" => sampled(&context),
            "test_logging_tool" => Ok(said("Done.".to_owned())),
            _ => Err(ErrorData::invalid_params("There is no such tool.", None)),
        }
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(self.tasks().get(&request.task_id).await?)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let update = self.tasks();
        Ok(update
            .update(&request.task_id, request.input_responses)
            .await?)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(self.tasks().cancel(&request.task_id).await?)
    }
}

fn said(text: String) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

/// Sampling is deprecated, and so are rmcp's own words for it.
fn sampled(context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    let broken = |error: serde_json::Error| ErrorData::internal_error(error.to_string(), None);
    let declared = serde_json::to_value(context.client_capabilities()).map_err(broken)?;
    if declared["sampling"].is_object() {
        return Ok(said("It can sample.".to_owned()));
    }
    let needed = serde_json::from_value(json!({"sampling": {}})).map_err(broken)?;
    Err(ErrorData::missing_required_client_capability(needed))
}

fn wrong(argument: &str) -> ErrorData {
    ErrorData::invalid_params(format!("The argument {argument} is not right."), None)
}

fn text(arguments: &JsonObject, name: &str) -> Result<String, ErrorData> {
    let text = arguments.get(name).and_then(Value::as_str);
    let text = text.filter(|text| text.len() <= 200);
    text.map(str::to_owned).ok_or_else(|| wrong(name))
}

/// The key of the question that is asked before there is a task, and the field of its form.
const USER_NAME: (&str, &str) = ("user_name", "name");

fn user_name(responses: Option<&rmcp::model::InputResponses>) -> Option<String> {
    let (key, field) = USER_NAME;
    let response: ElicitResult = serde_json::from_value(responses?.get(key)?.clone()).ok()?;
    let name = response.content?.get(field)?.as_str()?.to_owned();
    (name.len() <= 200).then_some(name)
}

fn ask_for_user_name() -> Result<CallToolResponse, ErrorData> {
    let (key, field) = USER_NAME;
    let question = question("What is your name?", field, "string");
    let question: InputRequest = serde_json::from_value(question)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let asked = [(key.to_owned(), question)].into();
    Ok(InputRequiredResult::new(Some(asked), None).into())
}
