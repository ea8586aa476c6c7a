//! How many bytes the `wasi:http` resources of a guest occupy on the host. Bodies are counted when
//! they are read; this counts what a guest can store beside them: headers, methods, URLs.

use http::HeaderMap;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::FieldMap;
use wasmtime_wasi_http::p2::bindings::http::types::{Method, Scheme};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
};

/// The cost of an entry in the table, and of a header in a map.
const ENTRY_BYTES: usize = 128;

/// The bytes of all resources in the table.
pub(crate) fn resource_bytes(table: &mut ResourceTable) -> usize {
    table
        .iter_mut()
        .map(|resource| ENTRY_BYTES + content_bytes(resource))
        .sum()
}

/// The bytes of these headers.
pub(super) fn header_bytes(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| ENTRY_BYTES + name.as_str().len() + value.len())
        .sum()
}

fn content_bytes(resource: &(dyn std::any::Any + Send)) -> usize {
    if let Some(fields) = resource.downcast_ref::<FieldMap>() {
        header_bytes(fields)
    } else if let Some(request) = resource.downcast_ref::<HostOutgoingRequest>() {
        request_bytes(request)
    } else if let Some(response) = resource.downcast_ref::<HostOutgoingResponse>() {
        header_bytes(&response.headers)
    } else if let Some(response) = resource.downcast_ref::<HostIncomingResponse>() {
        header_bytes(&response.headers)
    } else if let Some(HostFutureIncomingResponse::Ready(Ok((response, _)))) =
        resource.downcast_ref::<HostFutureIncomingResponse>()
    {
        header_bytes(response.headers())
    } else {
        0
    }
}

fn request_bytes(request: &HostOutgoingRequest) -> usize {
    let method = match &request.method {
        Method::Other(method) => method.len(),
        _ => 0,
    };
    let scheme = match &request.scheme {
        Some(Scheme::Other(scheme)) => scheme.len(),
        _ => 0,
    };
    let target = [&request.authority, &request.path_with_query];
    let target: usize = target.into_iter().flatten().map(String::len).sum();

    header_bytes(&request.headers) + method + scheme + target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_urls_are_counted() {
        let mut table = ResourceTable::new();
        assert_eq!(resource_bytes(&mut table), 0);

        let headers = || {
            let mut headers = HeaderMap::new();
            headers.insert("x", "y".repeat(1000).parse().unwrap());
            headers.append("x", "y".repeat(1000).parse().unwrap());
            let mut fields = FieldMap::new_mutable(32 << 10);
            for (name, value) in &headers {
                fields.append_raw(name.clone(), value.clone()).unwrap();
            }
            fields
        };
        let fields = table.push(headers()).unwrap();
        let of_fields = resource_bytes(&mut table);
        assert!((2000..3000).contains(&of_fields), "{of_fields}");

        table
            .push(HostOutgoingRequest {
                method: Method::Other("M".repeat(10_000)),
                scheme: Some(Scheme::Other("s".repeat(10_000))),
                authority: Some("a".repeat(10_000)),
                path_with_query: Some("p".repeat(10_000)),
                headers: headers(),
                body: None,
            })
            .unwrap();
        assert_eq!(resource_bytes(&mut table), 2 * of_fields + 40_000);

        table.delete(fields).unwrap();
        assert_eq!(resource_bytes(&mut table), of_fields + 40_000);
    }
}
