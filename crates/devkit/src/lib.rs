//! Development commands: tools, cluster, images, demo
