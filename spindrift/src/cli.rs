//! The command line of the server binary.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Runs containers the serverless way: on this machine alone, or one part of it in a Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(
    name = "spindrift",
    version,
    arg_required_else_help = true,
    propagate_version = true
)]
pub struct Cli {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args, Debug, Clone)]
pub struct LogArgs {
    /// What to log, such as `info` or `warn,gateway=debug`
    #[arg(
        long,
        global = true,
        env = "SPINDRIFT_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    pub log: String,
    /// Log one JSON object per line
    #[arg(long, global = true)]
    pub log_json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole platform on this machine
    #[command(
        after_help = "Examples:\n  spindrift up --demo            start, and show a service waking from zero\n  spindrift up --detach          start in the background\n  spindrift up --http-port 80    serve on the usual port"
    )]
    Up(UpArgs),
    /// Stop the platform that `up` started, and clean up after one that was killed
    Down(DataArgs),
    /// Say whether the platform runs, and where
    Status(StatusArgs),
    /// Run only the embedded Kubernetes, without the platform
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Work on the images of this machine
    #[command(subcommand)]
    Image(ImageCommand),
    /// Run the serving controllers against a cluster
    Controller(ComponentArgs),
    /// Run the autoscaler against a cluster
    Autoscaler(AutoscalerArgs),
    /// Run the activator against a cluster
    Activator(ActivatorArgs),
    /// Run the gateway against a cluster
    Gateway(GatewayArgs),
    /// Run the admission webhook against a cluster
    Webhook(WebhookArgs),
    /// Run the controllers of brokers, triggers, channels and sources against a cluster
    EventingController(ProcessArgs),
    /// Run the data plane of events against a cluster: accepts events, keeps them, and delivers them
    Broker(BrokerArgs),
    /// Run what makes the events of sources against a cluster
    EventSources(EventSourcesArgs),
    /// Run what makes a Job for each event of a JobSink, and what holds requests of RequestReplies, against a cluster
    EventSinks(EventSinksArgs),
    /// Run the controllers of tasks against a cluster
    PipelinesController(PipelinesArgs),
    /// Run what builds pushes to git repositories, and runs the images, against a cluster
    PushController(PushArgs),
    /// Run what finds tasks and pipelines elsewhere (git, HTTP, hubs, bundles, namespaces) against a cluster
    Resolvers(ProcessArgs),
    /// Run what prunes runs that are over and keeps what they said, against a cluster
    RunArchive(RunArchiveArgs),
    /// Run one EventListener against a cluster: take its events, make what its triggers say
    EventListener(triggers::listener::Args),
    /// Install what the components work on into a cluster: resource definitions, namespace, configuration
    #[command(
        after_help = "Examples:\n  spindrift install --sidecar-image registry.example.com/spindrift/queue-proxy:v1\n  spindrift install --component-address 10.88.0.1    for components that run on this machine, outside any pod"
    )]
    Install(InstallArgs),
    /// Print what `install` creates, as YAML for kubectl
    Manifests(PlanArgs),
    /// Print a completion script for a shell
    Completion {
        /// The shell to complete in
        shell: clap_complete::Shell,
    },
}

/// Where an instance keeps what it stores.
#[derive(Args, Debug, Clone)]
pub struct DataArgs {
    /// Folder of everything that is stored
    #[arg(long, env = "SPINDRIFT_DATA_DIR", default_value_os_t = default_data_dir(), value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// `/var/lib/spindrift` for root, the XDG data folder for others.
fn default_data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/spindrift");
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    data.unwrap_or_else(|| PathBuf::from(".")).join("spindrift")
}

#[derive(Args, Debug, Clone)]
pub struct UpArgs {
    #[command(flatten)]
    pub cluster: ClusterUpArgs,
    /// Port of the gateway, where services are reached [default: 8080, or the next free one]
    #[arg(long, value_name = "PORT")]
    pub http_port: Option<u16>,
    /// Deploy the sample service, and show how a request wakes it from zero
    #[arg(long)]
    pub demo: bool,
}

#[derive(Args, Debug, Clone)]
pub struct ClusterUpArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// Port of the Kubernetes API [default: 6443, or the next free one]
    #[arg(long, value_name = "PORT")]
    pub api_port: Option<u16>,
    /// Port of the image registry [default: 5000, or the next free one]
    #[arg(long, value_name = "PORT")]
    pub registry_port: Option<u16>,
    /// Address to serve on; 0.0.0.0 lets other machines in
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub listen: IpAddr,
    /// File to write the credentials to; what else it holds is kept [default: kubeconfig in the data folder]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where to serve /healthz, /readyz and the metrics of this process without credentials [default: nowhere; the API
    /// serves them to those who have some]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub health_address: Option<std::net::SocketAddr>,
    /// Go on in the background once everything is up
    #[arg(long)]
    pub detach: bool,
}

#[derive(Args, Debug, Clone)]
pub struct StatusArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// Print as JSON or YAML
    #[arg(short, long, value_enum)]
    pub output: Option<OutputFormat>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum OutputFormat {
    Json,
    Yaml,
}

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Run the embedded Kubernetes on this machine
    Up(ClusterUpArgs),
}

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Put the images of an archive (docker or OCI layout, tar) into the registry of this machine
    Load {
        #[command(flatten)]
        data: DataArgs,
        /// The archive
        archive: PathBuf,
    },
    /// List the images of this machine
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        data: DataArgs,
        /// Print as JSON or YAML
        #[arg(short, long, value_enum)]
        output: Option<OutputFormat>,
    },
    /// Put the platform's own programs that lie beside this one into the registry: the sidecar, and the samples
    Components {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Make the image that builds run in, of this machine's buildah and git, and put it into the registry
    Builder {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Remove a name from the images of this machine; what nothing else uses is deleted later
    #[command(visible_alias = "rm")]
    Remove {
        #[command(flatten)]
        data: DataArgs,
        /// The image, such as localhost:5000/web:v1
        #[arg(required = true)]
        images: Vec<String>,
    },
}

/// How a component of serving finds its cluster and its peers.
#[derive(Args, Debug, Clone)]
pub struct ComponentArgs {
    #[command(flatten)]
    pub process: ProcessArgs,
    /// Namespace of the install
    #[arg(long, env = "SYSTEM_NAMESPACE", default_value = crds::names::SYSTEM_NAMESPACE)]
    pub system_namespace: String,
}

/// How any component finds its cluster.
#[derive(Args, Debug, Clone)]
pub struct ProcessArgs {
    /// Credentials of the cluster [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// DNS suffix of the cluster
    #[arg(long, default_value = "cluster.local")]
    pub cluster_domain: String,
    /// Where health and metrics are served
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    pub health_address: std::net::SocketAddr,
}

#[derive(Args, Debug, Clone)]
pub struct PipelinesArgs {
    #[command(flatten)]
    pub process: ProcessArgs,
    /// Image of the entrypoint of steps
    #[arg(long, env = "ENTRYPOINT_IMAGE", value_name = "IMAGE")]
    pub entrypoint_image: String,
    /// Image of the pods of EventListeners; without it nobody looks after them
    #[arg(long, env = "EVENT_LISTENER_IMAGE", value_name = "IMAGE")]
    pub event_listener_image: Option<String>,
}

#[derive(Args, Debug, Clone)]
pub struct RunArchiveArgs {
    #[command(flatten)]
    pub process: ProcessArgs,
    /// Where archived runs and logs are read
    #[arg(long, default_value = "0.0.0.0:8089", value_name = "ADDRESS:PORT")]
    pub listen: std::net::SocketAddr,
    /// Folder of the runs and logs that are kept; one process at a time
    #[arg(long, default_value = "/var/lib/spindrift-runs", value_name = "DIR")]
    pub runs_dir: PathBuf,
    /// Megabytes of it that are used at the most; the oldest goes for the newest
    #[arg(long, default_value_t = 1024, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub runs_size: u64,
    /// How long it keeps runs and logs, such as 12h or 30d
    #[arg(long, default_value = "30d", value_parser = period, value_name = "TIME")]
    pub runs_age: Duration,
}

#[derive(Args, Debug, Clone)]
pub struct PushArgs {
    #[command(flatten)]
    pub process: ProcessArgs,
    /// Where webhooks of git hosts arrive
    #[arg(long, default_value = "0.0.0.0:8085", value_name = "ADDRESS:PORT")]
    pub listen: std::net::SocketAddr,
    /// Image that builds run in; see `spindrift image builder`
    #[arg(long, env = "BUILDER_IMAGE", value_name = "IMAGE")]
    pub builder_image: String,
    /// Registry that images go to unless a Repository names an image, such as registry.example.com/apps
    #[arg(long, value_name = "HOST[/PATH]")]
    pub registry: String,
    /// Registries that are spoken to by http; several with commas
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT")]
    pub insecure_registries: Vec<String>,
    /// Where pods reach the registry by http, if it is that of a machine with `spindrift cluster up`, such as 10.88.0.1:5001
    #[arg(long, requires = "pod_registry_key", value_name = "ADDRESS:PORT")]
    pub pod_registry: Option<String>,
    /// File of the key that this registry's passwords are made of: `registry-key` in the data folder of that machine
    #[arg(long, requires = "pod_registry", value_name = "FILE")]
    pub pod_registry_key: Option<PathBuf>,
    /// Builds of one namespace at the same time
    #[arg(long, default_value_t = 2, value_name = "NUMBER")]
    pub parallel_builds: usize,
    /// Let Repositories have git hosts asked and told that listen on this machine's loopback addresses
    #[arg(long)]
    pub allow_loopback: bool,
}

#[derive(Args, Debug, Clone)]
pub struct AutoscalerArgs {
    #[command(flatten)]
    pub component: ComponentArgs,
    /// Where activators push their stats
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    pub stats_address: std::net::SocketAddr,
}

#[derive(Args, Debug, Clone)]
pub struct ActivatorArgs {
    #[command(flatten)]
    pub component: ComponentArgs,
    /// Address to serve on; the ports are 8012 and 8013
    #[arg(long, default_value = "0.0.0.0", value_name = "ADDRESS")]
    pub listen: IpAddr,
    /// Where to push stats [default: the Service `autoscaler`]
    #[arg(long, value_name = "URL")]
    pub autoscaler: Option<String>,
}

#[derive(Args, Debug, Clone)]
pub struct GatewayArgs {
    #[command(flatten)]
    pub component: ComponentArgs,
    /// Where requests from outside arrive; may be given several times
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    pub external: Vec<std::net::SocketAddr>,
    /// Where requests from inside the cluster arrive
    #[arg(long, default_value = "0.0.0.0:8081", value_name = "ADDRESS:PORT")]
    pub internal: Vec<std::net::SocketAddr>,
    /// Where to push stats [default: the Service `autoscaler`]
    #[arg(long, value_name = "URL")]
    pub autoscaler: Option<String>,
}

#[derive(Args, Debug, Clone)]
pub struct BrokerArgs {
    #[command(flatten)]
    pub process: ProcessArgs,
    /// Where events are accepted
    #[arg(long, default_value = "0.0.0.0:8082", value_name = "ADDRESS:PORT")]
    pub listen: std::net::SocketAddr,
    /// Where events are accepted over TLS, if transport-encryption says so
    #[arg(long, default_value = "0.0.0.0:8445", value_name = "ADDRESS:PORT")]
    pub listen_tls: std::net::SocketAddr,
    /// Folder of the events that are not delivered yet
    #[arg(long, default_value = "/var/lib/spindrift-events", value_name = "DIR")]
    pub events_dir: PathBuf,
    /// Server that resolves the names of the cluster [default: the system's]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub dns: Option<std::net::SocketAddr>,
    /// NATS servers for brokers of the class NatsJetStreamBroker, such as nats://nats.nats.svc:4222; several with commas
    #[arg(long, env = "NATS_URL", hide_env_values = true, value_name = "URL")]
    pub nats: Option<String>,
    /// Servers of NATS that have each event before it is accepted: 1, 3 or 5
    #[arg(long, requires = "nats", default_value_t = 1, value_parser = replicas, value_name = "NUMBER")]
    pub nats_replicas: usize,
    /// How long NATS keeps events, delivered or not, such as 12h or 7d
    #[arg(long, requires = "nats", default_value = "7d", value_parser = period, value_name = "TIME")]
    pub nats_retention: Duration,
}

#[derive(Args, Debug, Clone)]
pub struct EventSourcesArgs {
    #[command(flatten)]
    pub process: ProcessArgs,
    /// Where webhooks of GitHub arrive
    #[arg(long, default_value = "0.0.0.0:8083", value_name = "ADDRESS:PORT")]
    pub listen: std::net::SocketAddr,
    /// Server that resolves the names of the cluster [default: the system's]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub dns: Option<std::net::SocketAddr>,
}

#[derive(Args, Debug, Clone)]
pub struct EventSinksArgs {
    #[command(flatten)]
    pub process: ProcessArgs,
    /// Where job sinks accept events
    #[arg(long, default_value = "0.0.0.0:8084", value_name = "ADDRESS:PORT")]
    pub listen: std::net::SocketAddr,
    /// Where job sinks accept events over TLS, if transport-encryption says so
    #[arg(long, default_value = "0.0.0.0:8446", value_name = "ADDRESS:PORT")]
    pub listen_tls: std::net::SocketAddr,
    /// Where RequestReplies accept requests; they wait in this process, so run one of it
    #[arg(long, default_value = "0.0.0.0:8087", value_name = "ADDRESS:PORT")]
    pub request_reply: std::net::SocketAddr,
    /// Where RequestReplies accept requests over TLS, if transport-encryption says so
    #[arg(long, default_value = "0.0.0.0:8447", value_name = "ADDRESS:PORT")]
    pub request_reply_tls: std::net::SocketAddr,
    /// DNS server of the cluster; without one, the system resolves all names
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub dns: Option<std::net::SocketAddr>,
}

#[derive(Args, Debug, Clone)]
pub struct WebhookArgs {
    #[command(flatten)]
    pub component: ComponentArgs,
    /// Where to serve HTTPS
    #[arg(long, default_value = "0.0.0.0:8443", value_name = "ADDRESS:PORT")]
    pub listen: std::net::SocketAddr,
    /// Service in the system namespace by which the API server reaches this webhook
    #[arg(long, default_value = crds::names::WEBHOOK_SERVICE, value_name = "NAME")]
    pub service: String,
    /// Port of that Service
    #[arg(long, default_value_t = crds::ports::SERVICE_HTTPS, value_name = "PORT")]
    pub service_port: u16,
    /// URL by which the API server reaches this webhook, instead of a Service
    #[arg(long, value_name = "URL", conflicts_with_all = ["service", "service_port"], value_parser = https_url)]
    pub url: Option<url::Url>,
    /// Answer for tasks and pipelines too; not where another installation of Tekton does
    #[arg(long)]
    pub pipelines: bool,
}

fn replicas(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("expected 1, 3 or 5".to_owned()),
    }
}

/// A number with s, m, h or d behind it.
fn period(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let mut read = units.iter().filter_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds).filter(|seconds| *seconds > 0)
    });
    let seconds = read.next();
    let seconds =
        seconds.ok_or("expected a number above 0 with s, m, h or d behind it, such as 12h or 7d")?;
    Ok(Duration::from_secs(seconds))
}

fn https_url(text: &str) -> Result<url::Url, String> {
    let url: url::Url = text
        .parse()
        .map_err(|error| format!("{error}: give https://HOST:PORT"))?;
    if url.scheme() != "https" || url.host_str().is_none() || url.query().is_some() {
        return Err("API servers ask webhooks over HTTPS only: give https://HOST:PORT".to_owned());
    }
    Ok(url)
}

/// What an install consists of.
#[derive(Args, Debug, Clone)]
pub struct PlanArgs {
    /// Namespace of the install
    #[arg(long, env = "SYSTEM_NAMESPACE", default_value = crds::names::SYSTEM_NAMESPACE)]
    pub system_namespace: String,
    /// Image of the sidecar; `spindrift image components` makes one on this machine
    #[arg(
        long,
        default_value = "localhost:5000/spindrift/queue-proxy:latest",
        value_name = "IMAGE"
    )]
    pub sidecar_image: String,
    /// Domain of the services' hosts; without one they exist inside the cluster only
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// Address of this machine as pods see it, if the components run on it outside any pod: makes Services that lead to
    /// their usual ports there
    #[arg(long, value_name = "ADDRESS")]
    pub component_address: Option<std::net::Ipv4Addr>,
    /// Port of the gateway for requests from inside the cluster, at that address
    #[arg(long, default_value_t = 8081, value_name = "PORT")]
    pub gateway_internal_port: u16,
    /// Port of the gateway for requests from outside, as webhooks have to be told
    #[arg(long, default_value_t = 80, value_name = "PORT")]
    pub gateway_port: u16,
}

#[derive(Args, Debug, Clone)]
pub struct InstallArgs {
    /// Credentials of the cluster [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    pub plan: PlanArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_a_unit() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("2m", Some(120)),
            ("12h", Some(43_200)),
            ("7d", Some(604_800)),
            ("7", None),
            ("0d", None),
            ("d", None),
            ("-1d", None),
            ("99999999999999999999d", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(period(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        assert!(replicas("3").is_ok() && replicas("2").is_err());
    }

    #[test]
    fn what_is_asked_of_nats_needs_nats() {
        let parsed = |rest: &str| Cli::try_parse_from(format!("spindrift broker {rest}").split_whitespace());
        for (rest, good) in [
            ("", true),
            ("--nats nats://a --nats-replicas 3 --nats-retention 12h", true),
            ("--nats nats://a --nats-replicas 2", false),
            ("--nats-replicas 3", std::env::var_os("NATS_URL").is_some()),
        ] {
            assert_eq!(parsed(rest).is_ok(), good, "{rest:?}: {:?}", parsed(rest).err());
        }
    }
}
