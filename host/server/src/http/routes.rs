//! Routes together with their descriptions: what cannot be described cannot be routed, and what is
//! described is routed.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};

use super::openapi::Endpoint;
use crate::app::App;

/// One route of the API and what it is for.
pub struct Described {
    /// The method, in lower case.
    pub method: &'static str,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// The description.
    pub endpoint: Endpoint,
}

/// The routes, as they are added.
#[derive(Default)]
pub struct Routes {
    router: Router<Arc<App>>,
    described: Vec<Described>,
}

macro_rules! methods {
    ($($name:ident $filter:ident)*) => {
        $(
            /// Adds a route of this method.
            pub fn $name<H, T>(&mut self, path: &'static str, handler: H, endpoint: Endpoint)
            where
                H: Handler<T, Arc<App>>,
                T: 'static,
            {
                let routed = on(MethodFilter::$filter, handler);
                self.router = std::mem::take(&mut self.router).route(path, routed);
                self.described.push(Described { method: stringify!($name), path, endpoint });
            }
        )*
    };
}

impl Routes {
    methods! { get GET post POST put PUT patch PATCH delete DELETE }

    /// The router and the descriptions.
    pub fn into_parts(self) -> (Router<Arc<App>>, Vec<Described>) {
        (self.router, self.described)
    }
}
