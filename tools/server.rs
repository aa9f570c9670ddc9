//! What a client can ask for, method by method: each goes to the file that knows the answer.

use std::{convert::Infallible, future::pending, time::Instant};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::tool::{IntoCallToolResult, ToolCallContext},
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams,
        CompleteRequestParams, CompleteResult, DiscoverResult, ErrorCode, GetPromptRequestParams,
        GetPromptResponse, GetTaskParams, GetTaskResult, Implementation, JsonObject,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter,
        UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{RequestContext, SubscriptionContext},
    tool_handler,
};
use segue_spans::mcp;
use segue_workflows::{metrics::CallOutcome, names};
use tokio::sync::SemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::{
    MOST_CALLS, Segue, ToolError, app, args, asking, caching, completions, icons,
    instructions::INSTRUCTIONS, prompts, resources, sync_tasks, watching,
};

#[tool_handler(router = self.router)]
impl ServerHandler for Segue {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_extensions_with(app::capability())
            .enable_tasks()
            .enable_resources_subscribe()
            .enable_prompts()
            .enable_completions()
            .build();
        capabilities.logging = Some(JsonObject::new());
        let mut info = ServerConfig::new(capabilities);
        info.server_info =
            Implementation::new("segue", env!("CARGO_PKG_VERSION")).with_icons(icons::segue());
        info.server_info.title = Some("Segue".to_owned());
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn discover(
        &self,
        _context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        let versions = ServerHandler::supported_protocol_versions(self).into_owned();
        let discovered = DiscoverResult::from_server_info(versions, ServerHandler::get_info(self));
        Ok(discovered
            .with_ttl_ms(caching::DEFINITIONS_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.router.list_all())
            .with_ttl_ms(caching::DEFINITIONS_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::all())
            .with_ttl_ms(caching::DEFINITIONS_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let _place = self.place()?;
        let prompt = prompts::get(self, request, &context).await?;
        Ok(prompt.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let _place = self.place()?;
        completions::complete(self, request).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let _place = self.place()?;
        let cursor = request.and_then(|request| request.cursor);
        resources::list(self, cursor.as_deref(), &context).await
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = resources::templates();
        Ok(ListResourceTemplatesResult::with_all_items(templates)
            .with_ttl_ms(caching::DEFINITIONS_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let span = mcp::serving("resources/read", None, &context);
        span.record("user", self.user_id());
        let _place = self.place()?;
        let read = resources::read(self, &request.uri, &context);
        Ok(read.instrument(span).await?.into())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.watching.subscribe(self, &request.uri, &context).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.watching.unsubscribe(&request.uri, &context)
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(watching::acceptable(requested))
    }

    async fn listen(&self, stream: SubscriptionContext) -> Result<(), ErrorData> {
        self.watching.listen(self, stream).await
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let route = self.router.get(&request.name);
        let tool = route.map(|tool| tool.name.clone());
        let span = mcp::serving(mcp::CALL, tool.as_deref(), &context);
        span.record("user", self.user_id());
        if let Some(sync_id) = args::sync_named(&request) {
            span.record("sync_id", sync_id);
        }
        let begun = Instant::now();
        self.log.note(&mut context);
        // Who waits for a sync is told where it stands before this process ends.
        context.ct = context.ct.child_token();
        let ends = context.ct.clone();
        let answering = async {
            match self.calls.try_acquire() {
                Ok(_place) => self.answer(request, context).await,
                Err(_) => ToolError::too_many_calls(MOST_CALLS).into_call_tool_result(),
            }
        };
        let answering = answering.instrument(span.clone());
        let answer = tokio::select! {
            answer = answering => answer,
            never = cancelled_with(&self.stop, &ends) => match never {},
        };
        mcp::answered(&span, &answer);
        let outcome = match &answer {
            Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => {
                CallOutcome::ToolError
            }
            Ok(_) => CallOutcome::Ok,
            Err(_) => CallOutcome::ProtocolError,
        };
        let metrics = self.gate.metrics();
        metrics.tool_called(tool.as_deref(), outcome, begun.elapsed());
        if let Ok(CallToolResponse::Task(_)) = &answer {
            metrics.task_created(tool.as_deref());
        }
        answer
    }

    #[expect(deprecated, reason = "clients before 2026-07-28 ask for it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.log.set(&request, &context)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let span = self.serving_task("tasks/get", &request.task_id, &context);
        let told = async {
            let tasks = self.tasks(&context).await?;
            Ok::<_, ErrorData>(tasks.get(&request.task_id).await?)
        };
        let told = told.instrument(span).await?;
        let stands = sync_tasks::stands(told.task.status());
        self.gate.metrics().task_told(stands);
        Ok(told)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let span = self.serving_task("tasks/update", &request.task_id, &context);
        let updated = async {
            let tasks = self.tasks(&context).await?;
            let responses = request.input_responses;
            Ok::<_, ErrorData>(tasks.update(&request.task_id, responses).await?)
        };
        updated.instrument(span).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let span = self.serving_task("tasks/cancel", &request.task_id, &context);
        let cancelled = async {
            let tasks = self.tasks(&context).await?;
            Ok::<_, ErrorData>(tasks.cancel(&request.task_id).await?)
        };
        cancelled.instrument(span).await
    }
}

impl Segue {
    /// A place among the user's open calls, for a request that is no call of a tool.
    fn place(&self) -> Result<SemaphorePermit<'_>, ErrorData> {
        let place = self.calls.try_acquire();
        place.map_err(|_| resources::internal(&ToolError::too_many_calls(MOST_CALLS)))
    }

    /// The span of a request about a task, and whose it is.
    fn serving_task(
        &self,
        method: &'static str,
        task_id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Span {
        let span = mcp::serving(method, None, context);
        span.record("user", self.user_id());
        if names::is_sync_id(task_id) {
            span.record("sync_id", task_id);
        }
        span
    }

    async fn answer(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let request = match asking::resumed(self, request, &context).await {
            Ok(request) => request,
            Err(error) => return error.into_call_tool_result(),
        };
        let known = self.router.has_route(&request.name);
        match self
            .router
            .call(ToolCallContext::new(self, request, context))
            .await
        {
            // A model sees results, not protocol errors, and can mend only what it sees.
            Err(error) if known && error.code == ErrorCode::INVALID_PARAMS => {
                ToolError::unreadable(error.message).into_call_tool_result()
            }
            other => other,
        }
    }
}

/// Cancels the one when the other is, as long as it is waited for.
async fn cancelled_with(stop: &CancellationToken, ends: &CancellationToken) -> Infallible {
    stop.cancelled().await;
    ends.cancel();
    pending().await
}
