//! What a function must look like to be a handler. `#[handler]` and `#[responder]` refer to this on
//! every target, so that the compiler checks the types of their function, and says what is wrong in
//! the author's terms.

use std::fmt::Display;

use crate::{Event, Failure, FromEvent, IntoReply, Reply};

/// A function that can be a handler. `A` is the tuple of its arguments.
///
/// The first argument gets the event, the others read it.
#[doc(hidden)]
pub trait HandlerFn<A> {
    /// Runs the function on an event.
    fn call(self, event: Event) -> Result<Option<Reply>, Failure>;
}

macro_rules! handler_fn {
    ($first:ident $($rest:ident)*) => {
        impl<F, R, $first, $($rest),*> HandlerFn<($first, $($rest,)*)> for F
        where
            F: FnOnce($first, $($rest),*) -> Result<R, Failure>,
            R: IntoReply,
            $first: FromEvent,
            $($rest: FromEvent),*
        {
            #[allow(non_snake_case)]
            fn call(self, event: Event) -> Result<Option<Reply>, Failure> {
                $(let $rest = $rest::from_event_ref(&event)?;)*
                let reply = self($first::from_event(event)?, $($rest),*)?;
                Ok(reply.into_reply())
            }
        }
    };
}

handler_fn!(A);
handler_fn!(A B);
handler_fn!(A B C);
handler_fn!(A B C D);

/// What a handler returns.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a handler returns `Result<_, Failure>`, not `{Self}`",
    label = "write `Result<(), Failure>`, or a reply instead of `()`"
)]
pub trait HandlerResult {}

impl<R: IntoReply> HandlerResult for Result<R, Failure> {}

/// What an `init` returns.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "an init returns nothing or `Result<(), _>` with an error that can be displayed, not `{Self}`",
    label = "write `Result<(), String>`, or no result"
)]
pub trait InitResult {
    /// The error for the operator.
    fn into_result(self) -> Result<(), String>;
}

impl InitResult for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> InitResult for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// A type that has the attribute `#[settings]`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no schema",
    label = "write `#[settings]` above `#[derive(Deserialize)]` of this type"
)]
pub trait HasSchema {}

#[doc(hidden)]
pub const fn is_argument<A: FromEvent>() {}

#[doc(hidden)]
pub const fn is_result<R: HandlerResult>() {}

#[doc(hidden)]
pub const fn is_init_result<R: InitResult>() {}

#[doc(hidden)]
pub const fn has_schema<T: HasSchema>() {}
