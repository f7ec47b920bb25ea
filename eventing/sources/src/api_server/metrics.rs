//! What is refused to the sender.

use std::sync::LazyLock;

use informer::registered;
use prometheus::IntCounter;

pub(super) static REFUSED: LazyLock<IntCounter> = LazyLock::new(|| {
    let help = "Lists and watches of ApiServerSources that the API server refused to their sender";
    registered(IntCounter::new("spindrift_apiserver_source_refusals_total", help))
});
