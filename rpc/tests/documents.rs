#[test]
fn x() { std::fs::write("/tmp/openrpc.json", holdfast_rpc::rpc_reference()).unwrap(); }
