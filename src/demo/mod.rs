//! Shows the service on a machine that has nothing set up.
#[derive(clap::Args)]
pub struct Arguments {}
pub async fn run(_: Arguments, stop: impl Future<Output = ()>) -> std::io::Result<()> {
    stop.await;
    Ok(())
}
