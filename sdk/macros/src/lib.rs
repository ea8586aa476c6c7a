//! The `#[handler]` and `#[responder]` attributes. Use them through `landfall_sdk`: what they write refers to that crate.
//!
//! They leave the function as it is, so that tests call it natively, and add the component's export for wasm only.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, Item, ItemFn, LitStr, ReturnType, Token};

/// Makes a function the handler of this component.
///
/// The function takes one argument (`Event` or `Json<T>`) and returns `Result<_, Failure>` of anything that is a
/// reply (`Reply`, `Json<T>`, `String`, `&'static str`, `()`). With `#[handler(manifest = "manifest.toml")]` that
/// file, relative to `Cargo.toml`, travels inside the component as the custom section `landfall:manifest`.
#[proc_macro_attribute]
pub fn handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let original = Tokens::from(item.clone());
    match expand(arguments, item) {
        Ok(tokens) => tokens.into(),
        // The item is kept, so that the mistake is the only error and not one of many.
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#original #error).into()
        }
    }
}

/// Makes a function the quick answer of this component, beside its `#[handler]`: in mode `async` the caller gets what it
/// returns, before the handler has run. It has the shape of a handler.
#[proc_macro_attribute]
pub fn responder(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let original = Tokens::from(item.clone());
    match expand_responder(arguments, item) {
        Ok(tokens) => tokens.into(),
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#original #error).into()
        }
    }
}

fn expand(arguments: TokenStream, item: TokenStream) -> Result<Tokens, Error> {
    let options: Options = syn::parse(arguments)?;
    let function = function(syn::parse(item)?)?;
    check(&function)?;
    let export = export(
        &function.sig.ident,
        &quote!(::landfall_sdk::bindings),
        &quote!(handler),
        &quote!(handle),
        &quote!(__export),
    );
    let manifest = options.manifest.as_ref().map(manifest);
    Ok(quote!(#function #export #manifest))
}

fn expand_responder(arguments: TokenStream, item: TokenStream) -> Result<Tokens, Error> {
    if !arguments.is_empty() {
        return Err(Error::new(Tokens::from(arguments).span(), "#[responder] has no options"));
    }
    let function = function(syn::parse(item)?)?;
    check(&function)?;
    let export = export(
        &function.sig.ident,
        &quote!(::landfall_sdk::bindings::responding),
        &quote!(responder),
        &quote!(respond),
        &quote!(__export_responder),
    );
    Ok(quote!(#function #export))
}

/// What stands in the brackets of the attribute.
struct Options {
    manifest: Option<LitStr>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        if input.is_empty() {
            return Ok(Self { manifest: None });
        }
        let key: Ident = input.parse()?;
        if key != "manifest" {
            return Err(Error::new(key.span(), "the only option is `manifest = \"manifest.toml\"`"));
        }
        input.parse::<Token![=]>()?;
        let manifest = Some(input.parse()?);
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { manifest })
    }
}

fn function(item: Item) -> Result<ItemFn, Error> {
    match item {
        Item::Fn(function) => Ok(function),
        other => Err(Error::new(other.span(), "this goes on a function: `fn on_event(event: Event) -> …`")),
    }
}

/// Refuses what the export could not call, in words; types are left to the compiler.
fn check(function: &ItemFn) -> Result<(), Error> {
    let signature = &function.sig;
    if let Some(token) = signature.asyncness {
        return Err(Error::new(token.span(), "a handler is not async: the calls it makes wait by themselves"));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new(signature.generics.span(), "a handler has no generic parameters"));
    }
    if let Some(FnArg::Receiver(receiver)) = signature.receiver().map(|_| &signature.inputs[0]) {
        return Err(Error::new(receiver.span(), "a handler is a plain function, not a method"));
    }
    if signature.inputs.len() != 1 {
        let text = "a handler takes one argument: `event: Event`, or `Json(body): Json<T>` (`event.json()` gives both)";
        return Err(Error::new(signature.paren_token.span.join(), text));
    }
    if matches!(signature.output, ReturnType::Default) {
        return Err(Error::new(signature.ident.span(), "a handler returns a result: `-> Result<Reply, Failure>`"));
    }
    Ok(())
}

/// The export of `function` of `interface`, which calls `name`.
fn export(name: &Ident, bindings: &Tokens, interface: &Tokens, function: &Tokens, macro_name: &Tokens) -> Tokens {
    quote! {
        // Natively this is all: the types are checked there too, and the function counts as used.
        const _: () = ::landfall_sdk::is_handler(#name);
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl #bindings::exports::landfall::hook::#interface::Guest for Component {
                fn #function(
                    event: ::landfall_sdk::bindings::landfall::hook::types::Event,
                ) -> ::core::result::Result<
                    ::landfall_sdk::bindings::landfall::hook::types::Reply,
                    ::landfall_sdk::bindings::landfall::hook::types::Failure,
                > {
                    ::landfall_sdk::exports::handle(event, #name)
                }
            }
            #bindings::#macro_name!(Component with_types_in #bindings);
        };
    }
}

fn manifest(path: &LitStr) -> Tokens {
    let bytes = quote!(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", #path)));
    quote! {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            const LENGTH: usize = #bytes.len();
            #[used]
            #[unsafe(link_section = "landfall:manifest")]
            static MANIFEST: [u8; LENGTH] = *#bytes;
        };
    }
}
