//! The payload of Sparkplug B as protobuf, as far as alerts need it; other fields are passed over.
//!
//! Source: eclipse-sparkplug/sparkplug, `sparkplug_b.proto`. Must not interpret a metric.

/// `Payload`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Payload {
    /// Milliseconds since 1970.
    #[prost(uint64, optional, tag = "1")]
    pub timestamp: Option<u64>,
    /// The metrics.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
    /// 0 to 255, wrapping; none in an NDEATH.
    #[prost(uint64, optional, tag = "3")]
    pub seq: Option<u64>,
}

/// `Payload.Metric`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metric {
    /// Its name; only births must say it.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// What stands for the name after the birth.
    #[prost(uint64, optional, tag = "2")]
    pub alias: Option<u64>,
    /// Milliseconds since 1970.
    #[prost(uint64, optional, tag = "3")]
    pub timestamp: Option<u64>,
    /// Index of the data type; only births must say it.
    #[prost(uint32, optional, tag = "4")]
    pub datatype: Option<u32>,
    /// Whether the value is of the past, sent late.
    #[prost(bool, optional, tag = "5")]
    pub is_historical: Option<bool>,
    /// Whether there is no value.
    #[prost(bool, optional, tag = "7")]
    pub is_null: Option<bool>,
    /// The value; other types of values are passed over.
    #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14, 15")]
    pub value: Option<Value>,
}

/// `Payload.Metric.value`
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    /// Up to 32 bits; signed ones as two's complement.
    #[prost(uint32, tag = "10")]
    Int(u32),
    /// 64 bits; signed ones as two's complement.
    #[prost(uint64, tag = "11")]
    Long(u64),
    /// 32 bits.
    #[prost(float, tag = "12")]
    Float(f32),
    /// 64 bits.
    #[prost(double, tag = "13")]
    Double(f64),
    /// True or false.
    #[prost(bool, tag = "14")]
    Boolean(bool),
    /// Text.
    #[prost(string, tag = "15")]
    Text(String),
}
