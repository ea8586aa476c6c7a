//! The `#[handler]`, `#[responder]`, `#[init]` and `#[settings]` attributes. Use them through `landfall_sdk`:
//! the code that they write needs that crate.
//!
//! `#[handler]`, `#[responder]` and `#[init]` leave the function as it is, so that tests call it natively, and
//! add the component's export for wasm only. `#[settings]` describes a type of settings.

mod manifest;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, Ident, Item, ItemFn, LitStr, ReturnType, Token, Type};

/// The most arguments of a handler.
const ARGUMENTS_MAX: usize = 4;

/// Makes a function the handler of this component.
///
/// The function takes one to four arguments (`Event`, `Json<T>`, `Settings<T>`, a type of
/// `providers`) and returns `Result<_, Failure>`. The value is a reply (`Reply`, `Json<T>`,
/// `String`, `&'static str`), an option of one, or `()`. `()` and `None` are the answer that the
/// provider takes for success.
///
/// The attribute writes the manifest of the component, the custom section `landfall:manifest`: the
/// name, version and description of the crate.
///
/// With `#[handler(settings = Settings)]` the manifest has the JSON Schema of that type, which has
/// the attribute `#[settings]`. Landfall checks `[settings]` by it when it loads the hook. The
/// schema is the file `settings.schema.json` beside `Cargo.toml`: `cargo test` writes it.
///
/// With `#[handler(manifest = "manifest.toml")]` the manifest also has that file, relative to
/// `Cargo.toml`. It can have the key `event-types` and the tables `[suggests]` and `[needs]`.
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

/// Makes a function the quick answer of this component, beside its `#[handler]`: in mode `async`
/// the caller receives what it returns, before the handler has run. It has the types of a handler.
/// Of a failure, only the reason goes to the host.
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

/// Makes a function the initialisation of this component: it runs once, when Landfall compiles the
/// component, and each event starts with a copy of the memory that it left.
///
/// The function takes no arguments and returns nothing, or `Result<(), _>` with an error that can
/// be displayed. An error or a panic refuses the component. Only the log and WASI are there: a call
/// of any other function of the host refuses the component.
#[proc_macro_attribute]
pub fn init(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let original = Tokens::from(item.clone());
    match expand_init(arguments, item) {
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
    let event = quote!(::landfall_sdk::bindings::landfall::event::types);
    let export = export(
        &function.sig.ident,
        &Export {
            bindings: quote!(::landfall_sdk::bindings),
            interface: quote!(handler),
            function: quote!(handle),
            error: quote!(#event::Failure),
            macro_name: quote!(__export),
            only: quote!(a_component_has_one_handler),
        },
    );
    let types = types(&function);
    let manifest = manifest::section(options.manifest.as_ref(), options.settings.is_some())?;
    let schema_test = options.settings.as_ref().map(schema_test);
    Ok(quote!(#function #types #export #manifest #schema_test))
}

fn expand_responder(arguments: TokenStream, item: TokenStream) -> Result<Tokens, Error> {
    if !arguments.is_empty() {
        return Err(Error::new(
            Tokens::from(arguments).span(),
            "#[responder] has no options",
        ));
    }
    let function = function(syn::parse(item)?)?;
    check(&function)?;
    let export = export(
        &function.sig.ident,
        &Export {
            bindings: quote!(::landfall_sdk::bindings::responding),
            interface: quote!(responder),
            function: quote!(respond),
            error: quote!(::std::string::String),
            macro_name: quote!(__export_responder),
            only: quote!(a_component_has_one_responder),
        },
    );
    let types = types(&function);
    Ok(quote!(#function #types #export))
}

fn expand_init(arguments: TokenStream, item: TokenStream) -> Result<Tokens, Error> {
    if !arguments.is_empty() {
        return Err(Error::new(
            Tokens::from(arguments).span(),
            "#[init] has no options",
        ));
    }
    let function = function(syn::parse(item)?)?;
    let signature = &function.sig;
    if let Some(token) = signature.asyncness {
        return Err(Error::new(
            token.span(),
            "an init is not async: it may only compute",
        ));
    }
    if !signature.generics.params.is_empty() || !signature.inputs.is_empty() {
        return Err(Error::new(
            signature.span(),
            "an init has no arguments and no generic parameters: there is no event yet",
        ));
    }

    let name = &signature.ident;
    let result = match &signature.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(quote_spanned! {ty.span()=>
            const _: () = ::landfall_sdk::function::is_init_result::<#ty>();
        }),
    };
    let bindings = quote!(::landfall_sdk::bindings::initialising);
    Ok(quote! {
        #function
        #result
        #[allow(non_upper_case_globals, dead_code)]
        const a_component_has_one_init: () = ();
        // On other targets the function counts as used.
        const _: () = { let _ = #name; };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl #bindings::exports::landfall::init::init::Guest for Component {
                fn init() -> ::core::result::Result<(), ::std::string::String> {
                    ::landfall_sdk::exports::init(#name)
                }
            }
            #bindings::__export_init!(Component with_types_in #bindings);
        };
    })
}

/// Describes a type of settings, for `#[handler(settings = …)]`: write it above
/// `#[derive(Deserialize)]`, on the type and on those that it is made of.
///
/// `#[schemars(extend("x-landfall" = "url"))]` marks a text as a URL that is called, `"base-url"`
/// as one that paths are appended to, and `"template"` as a template. The component has only the
/// finished schema.
#[proc_macro_attribute]
pub fn settings(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let original = Tokens::from(item.clone());
    match expand_settings(arguments, item) {
        Ok(tokens) => tokens.into(),
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#original #error).into()
        }
    }
}

fn expand_settings(arguments: TokenStream, item: TokenStream) -> Result<Tokens, Error> {
    if !arguments.is_empty() {
        return Err(Error::new(
            Tokens::from(arguments).span(),
            "#[settings] has no options",
        ));
    }
    let described: Item = syn::parse(item)?;
    let mut plain = described.clone();
    let (name, generics) = match &mut plain {
        Item::Struct(item) => {
            item.fields
                .iter_mut()
                .for_each(|field| without_schemars(&mut field.attrs));
            (&item.ident, &item.generics)
        }
        Item::Enum(item) => {
            item.variants.iter_mut().for_each(|variant| {
                without_schemars(&mut variant.attrs);
                variant
                    .fields
                    .iter_mut()
                    .for_each(|field| without_schemars(&mut field.attrs));
            });
            (&item.ident, &item.generics)
        }
        other => return Err(Error::new(other.span(), "this goes on a struct or an enum")),
    };
    let (parameters, arguments, bounds) = generics.split_for_impl();
    let has_schema = quote! {
        impl #parameters ::landfall_sdk::function::HasSchema for #name #arguments #bounds {}
    };
    Ok(quote! {
        #has_schema
        #[cfg(not(target_arch = "wasm32"))]
        #[derive(::landfall_sdk::schemars::JsonSchema)]
        #[schemars(crate = "::landfall_sdk::schemars")]
        #described
        #[cfg(target_arch = "wasm32")]
        #plain
    })
}

fn without_schemars(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| !attribute.path().is_ident("schemars"));
}

/// The options in the brackets of the attribute.
#[derive(Default)]
struct Options {
    manifest: Option<LitStr>,
    settings: Option<Type>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        let mut options = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            match key.to_string().as_str() {
                "manifest" => options.manifest = Some(input.parse()?),
                "settings" => options.settings = Some(input.parse()?),
                _ => {
                    let text =
                        "the options are `manifest = \"manifest.toml\"` and `settings = Settings`";
                    return Err(Error::new(key.span(), text));
                }
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(options)
    }
}

fn function(item: Item) -> Result<ItemFn, Error> {
    match item {
        Item::Fn(function) => Ok(function),
        other => Err(Error::new(
            other.span(),
            "this goes on a function: `fn on_event(event: Event) -> …`",
        )),
    }
}

/// Refuses what the export could not call, in words; types are left to the compiler.
fn check(function: &ItemFn) -> Result<(), Error> {
    let signature = &function.sig;
    if let Some(token) = signature.asyncness {
        return Err(Error::new(
            token.span(),
            "a handler is not async: each of its calls waits for its result",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new(
            signature.generics.span(),
            "a handler has no generic parameters",
        ));
    }
    if let Some(FnArg::Receiver(receiver)) = signature.receiver().map(|_| &signature.inputs[0]) {
        return Err(Error::new(
            receiver.span(),
            "a handler is a plain function, not a method",
        ));
    }
    if !(1..=ARGUMENTS_MAX).contains(&signature.inputs.len()) {
        let text = "a handler takes one to four arguments: `event: Event`, `Json(body): Json<T>`, `Settings(settings): Settings<T>`";
        return Err(Error::new(signature.paren_token.span.join(), text));
    }
    for ty in argument_types(function) {
        if let Type::Reference(reference) = ty {
            let text = "a handler owns its arguments: write the type without `&`";
            return Err(Error::new(reference.span(), text));
        }
    }
    if matches!(signature.output, ReturnType::Default) {
        return Err(Error::new(
            signature.ident.span(),
            "a handler returns a result: `-> Result<Reply, Failure>`",
        ));
    }
    Ok(())
}

fn argument_types(function: &ItemFn) -> impl Iterator<Item = &Type> {
    function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(&*argument.ty),
        FnArg::Receiver(_) => None,
    })
}

/// Lets the compiler check each type of the signature, where it is written.
fn types(function: &ItemFn) -> Tokens {
    let arguments = argument_types(function).map(|ty| {
        quote_spanned!(ty.span()=> const _: () = ::landfall_sdk::function::is_argument::<#ty>();)
    });
    let result = match &function.sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(
            quote_spanned!(ty.span()=> const _: () = ::landfall_sdk::function::is_result::<#ty>();),
        ),
    };
    quote!(#(#arguments)* #result)
}

/// What an attribute exports.
struct Export {
    bindings: Tokens,
    interface: Tokens,
    function: Tokens,
    error: Tokens,
    macro_name: Tokens,
    /// The name that the compiler finds twice if a module has the attribute twice.
    only: Tokens,
}

/// The export that calls the function `name`.
fn export(name: &Ident, export: &Export) -> Tokens {
    let Export {
        bindings,
        interface,
        function,
        error,
        macro_name,
        only,
    } = export;
    let types = quote!(::landfall_sdk::bindings::landfall::event::types);
    quote! {
        #[allow(non_upper_case_globals, dead_code)]
        const #only: () = ();
        // On other targets the function counts as used.
        const _: () = { let _ = #name; };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl #bindings::exports::landfall::hook::#interface::Guest for Component {
                fn #function(
                    event: #types::Event,
                ) -> ::core::result::Result<::core::option::Option<#types::Reply>, #error> {
                    ::landfall_sdk::exports::#function(event, #name)
                }
            }
            #bindings::#macro_name!(Component with_types_in #bindings);
        };
    }
}

/// The test that compares the file of the schema with the type.
fn schema_test(settings: &Type) -> Tokens {
    let has_schema = quote_spanned! {settings.span()=>
        const _: () = ::landfall_sdk::function::has_schema::<#settings>();
    };
    quote! {
        #has_schema
        #[cfg(all(test, not(target_arch = "wasm32")))]
        #[test]
        fn settings_schema_is_current() {
            ::landfall_sdk::testing::settings_schema::<#settings>(env!("CARGO_MANIFEST_DIR"));
        }
    }
}
