//! What the serving processes share: discovery, request plane, model cards, system server
