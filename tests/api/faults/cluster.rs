//! Two PostgreSQL servers in a container, which tests may break.

use std::process::Child;

use customer_deletion::schema;
use sqlx::postgres::PgPoolOptions;
use testcontainers::core::{ExecCommand, IntoContainerPort, Mount};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

use crate::support::database::grant;
use crate::support::postgres::remove_with_this_process;
use crate::support::{TestPool, until};

/// The settings of both servers. No server outlives the container, so none waits for the disk.
const SETTINGS: &str = "listen_addresses = '*'
unix_socket_directories = '/tmp'
fsync = off
full_page_writes = on
max_connections = 100
min_wal_size = 2MB
max_wal_size = 8MB
wal_keep_size = 64MB
checkpoint_timeout = 30s
wal_recycle = off
wal_init_zero = off
hot_standby_feedback = on
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 100ms
";

/// One of the two servers, each with its own folder and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    First = 5432,
    Second = 5433,
}

impl Member {
    pub fn other(self) -> Member {
        match self {
            Member::First => Member::Second,
            Member::Second => Member::First,
        }
    }

    fn folder(self) -> String {
        format!("/tmp/server-{}", self as u16)
    }
}

/// Removes the container when it is dropped.
pub struct Cluster {
    container: ContainerAsync<GenericImage>,
    urls: [String; 2],
    _watchdog: Option<Child>,
}

impl Cluster {
    /// Starts the first server, with the schema in its database.
    pub async fn start() -> Cluster {
        let image = GenericImage::new("postgres", "17")
            .with_entrypoint("bash")
            .with_exposed_port(5432.tcp())
            .with_exposed_port(5433.tcp())
            .with_user("postgres")
            .with_mount(Mount::tmpfs_mount("/wal").with_size("96m").with_mode(0o1777))
            // A shell reaps orphaned processes, as the first process of a machine must.
            .with_cmd(["-c", "while :; do sleep 1; done"]);
        let container = image.start().await.expect("the container starts: these tests need Docker");
        let watchdog = remove_with_this_process(container.id());
        let host = container.get_host().await.unwrap().to_string();
        let mut urls = [String::new(), String::new()];
        for (url, member) in urls.iter_mut().zip([Member::First, Member::Second]) {
            let port = container.get_host_port_ipv4(member as u16).await.expect("the container publishes its ports");
            *url = format!("postgres://postgres@{host}:{port}/postgres");
        }
        let cluster = Cluster { container, urls, _watchdog: watchdog };
        cluster.make_first_server().await;
        cluster
    }

    async fn make_first_server(&self) {
        let folder = Member::First.folder();
        self.shell(&format!(
            "initdb --no-sync --auth=trust --wal-segsize=1 --waldir=/wal/first --pgdata={folder} >/dev/null
             printf '%s' \"{SETTINGS}\" >>{folder}/postgresql.conf
             printf 'host all all all trust\\nhost replication all all trust\\n' >>{folder}/pg_hba.conf"
        ))
        .await;
        self.launch(Member::First).await;
        let options = self.url(Member::First).parse().unwrap();
        schema::migrate(&options).await.expect("the migrations run");
        grant(&options).await;
    }

    pub fn url(&self, member: Member) -> &str {
        match member {
            Member::First => &self.urls[0],
            Member::Second => &self.urls[1],
        }
    }

    /// A pool for the statements of the test itself.
    pub fn pool(&self, member: Member) -> TestPool {
        let options = PgPoolOptions::new().max_connections(4);
        options.connect_lazy(self.url(member)).expect("the URL is one").into()
    }

    /// Starts a server, and waits until it accepts connections.
    pub async fn launch(&self, member: Member) {
        let (folder, port) = (member.folder(), member as u16);
        self.shell(&format!(
            "pg_ctl start --wait --silent --pgdata={folder} --log={folder}.log --options='-p {port}' || {{ tail {folder}.log; exit 1; }}"
        ))
        .await;
    }

    /// `mode` is `fast` or `immediate`.
    pub async fn stop(&self, member: Member, mode: &str) {
        let folder = member.folder();
        self.shell(&format!("pg_ctl stop --wait --silent --pgdata={folder} --mode={mode}")).await;
    }

    /// Sends SIGKILL to every process of a server.
    pub async fn kill(&self, member: Member) {
        let folder = member.folder();
        self.shell(&format!(
            "postmaster=$(head -1 {folder}/postmaster.pid)
             children=
             for status in /proc/[0-9]*/stat; do
               read -r id _ _ parent _ <$status || continue
               [ $parent != $postmaster ] || children=\"$children $id\"
             done 2>/dev/null
             kill -9 $postmaster $children
             while kill -0 $postmaster 2>/dev/null; do sleep 0.01; done"
        ))
        .await;
    }

    /// Creates the server again, as a synchronous standby of the other one.
    pub async fn replicate_to(&self, member: Member) {
        let (folder, primary) = (member.folder(), member.other() as u16);
        self.shell(&format!(
            "rm -rf {folder}
             pg_basebackup --no-sync --checkpoint=fast --write-recovery-conf --pgdata={folder} \
               --dbname='host=/tmp port={primary} user=postgres application_name=standby'"
        ))
        .await;
        self.launch(member).await;
        let pool = self.pool(member.other());
        sqlx::raw_sql("alter system set synchronous_standby_names = '*'").execute(&pool).await.unwrap();
        sqlx::raw_sql("select pg_reload_conf()").execute(&pool).await.unwrap();
        let synchronous = "select exists (select from pg_stat_replication where sync_state = 'sync')";
        until(|| async { sqlx::query_scalar(synchronous).fetch_one(&pool).await.unwrap() }).await;
        pool.close().await;
    }

    /// Promotes a standby to a primary, which waits for no standby.
    pub async fn promote(&self, member: Member) {
        let folder = member.folder();
        self.shell(&format!(
            "echo \"synchronous_standby_names = ''\" >>{folder}/postgresql.auto.conf
             pg_ctl reload --silent --pgdata={folder}
             pg_ctl promote --wait --silent --pgdata={folder}"
        ))
        .await;
    }

    /// Fills the disk with the WAL of the first server.
    pub async fn fill_wal_disk(&self) {
        self.shell("cat /dev/zero >/wal/ballast 2>/dev/null || true").await;
    }

    /// Frees the space, and starts the first server if it has ended.
    pub async fn empty_wal_disk(&self) {
        self.shell("rm /wal/ballast").await;
        let folder = Member::First.folder();
        self.shell(&format!(
            "pg_ctl status --pgdata={folder} >/dev/null || pg_ctl start --wait --silent --pgdata={folder} --log={folder}.log
             until pg_isready --quiet --host=/tmp; do sleep 0.05; done"
        ))
        .await;
    }

    /// The log of the first server.
    pub async fn log(&self) -> String {
        self.shell(&format!("cat {}.log", Member::First.folder())).await
    }

    /// Runs a script in the container, which must succeed.
    async fn shell(&self, script: &str) -> String {
        let command = ExecCommand::new(["bash", "-ec", script]);
        let mut result = self.container.exec(command).await.expect("the container runs");
        let output = result.stdout_to_vec().await.unwrap();
        let errors = result.stderr_to_vec().await.unwrap();
        let (output, errors) = (String::from_utf8_lossy(&output), String::from_utf8_lossy(&errors));
        assert_eq!(result.exit_code().await.unwrap(), Some(0), "{script}\n{output}\n{errors}");
        output.into_owned()
    }
}
