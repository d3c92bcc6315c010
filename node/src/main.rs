/// Blocks, vertices and pages are many short-lived buffers of all sizes, made on one thread and dropped on another. The
/// allocator of the C library spends a fifth of the time of a block on them and gives little memory back. RocksDB uses
/// this one, too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    holdfast::cli::main().into()
}
