//! What the kernel says of this process, under the names of the Prometheus client libraries.
//! Read from `/proc` at each scrape; a value that cannot be read is left out.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

/// Unit of times in `/proc`, the same on every architecture that containers run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The families `process_*`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessMetrics;

impl ProcessMetrics {
    pub fn register(self, registry: &mut Registry) {
        registry.register_collector(Box::new(self));
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let stat = Stat::parse(&read("/proc/self/stat"));
        if let Some(seconds) = stat.as_ref().map(|stat| stat.cpu_seconds) {
            let counter = ConstCounter::new(seconds);
            let help = "Seconds of processor time, of user and system, used so far.";
            counter.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        let boot = boot_time(&read("/proc/stat"));
        let start = stat.and_then(|stat| Some(boot? + stat.started_after_boot));
        let status = read("/proc/self/status");
        // The folder that is read is one more.
        let open =
            std::fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as f64 - 1.0).max(0.0));
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Bytes of memory in use.", kilobytes(&status, "VmRSS:")),
            ("process_virtual_memory_bytes", "Bytes of address space in use.", kilobytes(&status, "VmSize:")),
            ("process_open_fds", "Open file descriptors.", open),
            ("process_max_fds", "Limit of open file descriptors.", max_files(&read("/proc/self/limits"))),
            ("process_start_time_seconds", "Start of the process in seconds since 1970.", start),
        ] {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
        }
        Ok(())
    }
}

struct Stat {
    cpu_seconds: f64,
    started_after_boot: f64,
}

impl Stat {
    /// The name of the program, in parentheses, may hold blanks; everything after it is numbers.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // Fields 14, 15 and 22 of proc(5); the first of these is field 3.
        let seconds = |field: usize| Some(fields.get(field - 3)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
        Some(Self { cpu_seconds: seconds(14)? + seconds(15)?, started_after_boot: seconds(22)? })
    }
}

fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

fn max_files(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_understood() {
        let stat = Stat::parse(
            "7 (a) (b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 12345 1000 200 18446744073709551615",
        )
        .unwrap();
        assert_eq!((stat.cpu_seconds, stat.started_after_boot), (3.0, 123.45));
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
        assert_eq!(kilobytes("VmSize:\t  10 kB\nVmRSS:\t   4 kB\n", "VmRSS:"), Some(4096.0));
        assert_eq!(
            max_files("Max open files            1024                 4096                 files\n"),
            Some(1024.0)
        );
        assert_eq!(
            max_files("Max open files            unlimited            unlimited            files\n"),
            None
        );
    }

    #[test]
    fn every_value_of_this_very_process_is_shown_and_plausible() {
        let mut registry = Registry::default();
        ProcessMetrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} is missing in {text}"))
                .split_once(' ')
                .unwrap()
                .1
                .parse()
                .unwrap()
        };
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-5.0..86_400.0).contains(&age), "{age}");
    }
}
