//! Every page.

use std::sync::{Arc, Weak};

use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio::time::MissedTickBehavior;

use crate::pages::{
    audit, bulk, component, data, event, events, failures, help, missed, overview, recordings,
    send, shape, tries, why,
};
use crate::series::SAMPLE_INTERVAL;
use crate::state::{Dashboard, Setup};
use crate::{assets, auth, errors, no_page};

/// The pages of a node, for its admin listener. Starts to sample the hooks.
pub fn router(setup: Setup) -> Router {
    let dashboard = Dashboard::new(setup);
    tokio::spawn(run_samples(Arc::downgrade(&dashboard)));

    let session = middleware::from_fn_with_state(dashboard.clone(), auth::require_session);
    let pages = Router::new()
        .route("/", get(overview::page))
        .route("/live/overview", get(overview::live))
        .route("/events", get(events::page))
        .route("/live/events", get(events::live))
        .route("/events/{id}", get(event::page))
        .route("/live/events/{id}", get(event::live))
        .route("/events/{id}/body", get(event::body))
        .route("/events/{id}/{command}", post(event::operate))
        .route("/why", get(why::page))
        .route("/missed", get(missed::page))
        .route("/live/missed", get(missed::live))
        .route("/missed/{hook}", post(missed::start))
        .route("/failures", get(failures::page))
        .route("/bulk", get(bulk::page).post(bulk::start))
        .route("/live/bulk", get(bulk::live))
        .route("/bulk/{job}/cancel", post(bulk::cancel))
        .route("/send", get(send::page).post(send::send))
        .route("/components", get(component::list))
        .route("/components/{hook}", get(component::page))
        .route("/hooks/{hook}/{command}", post(overview::operate))
        .route("/reload", post(overview::reload))
        .route("/recordings", get(recordings::page))
        .route("/tries/{hook}/{id}", get(tries::page))
        .route("/shape", get(shape::page))
        .route("/shape-file", get(shape::file))
        .route("/shape/{hook}", post(shape::change))
        .route("/data", get(data::page))
        .route("/data/export", get(data::export))
        .route("/audit", get(audit::page))
        .route("/audit/export", get(audit::export))
        .route("/help", get(help::page))
        .route("/logout", post(auth::logout))
        .route_layer(session);
    let open = Router::new()
        .route("/login", get(auth::login_form).post(auth::login))
        .route("/assets/{name}", get(assets::serve));

    pages
        .merge(open)
        .fallback(no_page::no_page)
        .layer(middleware::from_fn_with_state(
            dashboard.clone(),
            errors::show,
        ))
        .layer(middleware::from_fn(auth::add_headers))
        .with_state(dashboard)
}

/// Samples the hooks until the dashboard is gone.
async fn run_samples(dashboard: Weak<Dashboard>) {
    let mut ticks = tokio::time::interval(SAMPLE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut is_first = true;
    loop {
        ticks.tick().await;
        let Some(dashboard) = dashboard.upgrade() else {
            return;
        };
        if std::mem::take(&mut is_first) {
            dashboard.series.fill(&dashboard.api).await;
        }
        let admin = &dashboard.setup.admin;
        dashboard.series.sample(&admin.hooks, &*admin.ledger).await;
    }
}
