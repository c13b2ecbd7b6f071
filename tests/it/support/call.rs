//! A request, varied word by word and then awaited.

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;

use reqwest::Method;
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::answer::Answer;

/// Sends many at once.
pub async fn at_once(calls: impl IntoIterator<Item = Call>) -> Vec<Answer> {
    let calls = calls.into_iter().map(Call::into_future);
    calls.collect::<JoinSet<_>>().join_all().await
}

/// A request under way to being sent.
pub struct Call {
    client: reqwest::Client,
    address: SocketAddr,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    wants_handle: bool,
}

impl Call {
    /// To an address, with nothing but who calls.
    pub fn new(
        client: reqwest::Client,
        address: SocketAddr,
        method: Method,
        path: &str,
        from: &str,
    ) -> Self {
        Self {
            client,
            address,
            method,
            path: path.to_owned(),
            headers: vec![("x-forwarded-for".into(), from.into())],
            body: None,
            wants_handle: false,
        }
    }

    /// From another client address.
    pub fn from(self, client: &str) -> Self {
        self.replacing("x-forwarded-for", client)
    }

    pub fn speaking(self, languages: &str) -> Self {
        self.header("accept-language", languages)
    }

    pub fn with_browser(self, agent: &str) -> Self {
        self.replacing("user-agent", agent)
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With a field set in the body.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        let body = self.body.get_or_insert_with(|| Map::new().into());
        body[field] = value.into();
        self
    }

    fn replacing(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.header(name, value)
    }

    /// Has the handle sent along that the address was last given, where a test keeps it.
    pub fn naming_the_challenge(mut self) -> Self {
        self.wants_handle = true;
        self
    }

    pub fn wants_handle(&self) -> bool {
        self.wants_handle
    }

    /// Sends bytes as they are, declared as JSON.
    pub async fn send_bytes(self, bytes: impl Into<reqwest::Body>) -> Answer {
        let call = self.header("content-type", "application/json");
        let request = call.request().body(bytes);
        call.answer(request).await
    }

    /// Sends bytes as they are, declared as SNS declares its JSON.
    pub async fn send_text(self, text: impl Into<reqwest::Body>) -> Answer {
        let call = self.header("content-type", "text/plain; charset=UTF-8");
        let request = call.request().body(text);
        call.answer(request).await
    }

    fn request(&self) -> reqwest::RequestBuilder {
        let url = format!("http://{}{}", self.address, self.path);
        let mut request = self.client.request(self.method.clone(), url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        Answer::read(&self.method, &self.path, response).await
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut request = self.request();
            if let Some(body) = &self.body {
                request = request.json(body);
            }
            self.answer(request).await
        })
    }
}
