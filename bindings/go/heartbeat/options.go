package heartbeat

import (
	"encoding/json"
	"time"
)

// Options says which server to connect to, and how. The zero value takes everything from the environment, else from a profile
// of temporal.toml, else from the defaults, as every Temporal client does; docs/options.md describes each option.
type Options struct {
	// HostPort is the server's address as "host:port". Empty: TEMPORAL_ADDRESS, else 127.0.0.1:7233.
	HostPort string
	// Namespace is that of the activities. Empty: TEMPORAL_NAMESPACE, else "default".
	Namespace string
	// APIKey is sent with every request. Empty: TEMPORAL_API_KEY. It turns TLS on.
	APIKey string
	// APIKeyPath names a file that holds the API key, and is read again when it changes.
	APIKeyPath string
	// TLS secures the connection. nil: as environment and profile say, else only with an API key.
	TLS *TLS
	// GRPCMeta are headers of every request, over those of the environment.
	GRPCMeta map[string]string
	// Authority is what requests name as the server's authority. Empty: the address.
	Authority string
	// Identity is the name that the server knows this process by, as shown in histories. Empty: pid@host.
	Identity string
	// ConfigFile is the file that profiles stand in. Empty: TEMPORAL_CONFIG_FILE, else the user's temporalio/temporal.toml.
	ConfigFile string
	// Profile is the profile of that file. Empty: TEMPORAL_PROFILE, else "default".
	Profile string
	// ConnectTimeout bounds the wait for a server that doesn't answer. 0: until the context's deadline, else DefaultTimeout.
	// When both are there, the earlier one counts.
	ConnectTimeout time.Duration
	// Lazy connects with the first call: Connect then only checks the options.
	Lazy bool
	// Proxy is an HTTP proxy to connect through.
	Proxy *Proxy
	// Keepalive says how to notice that a connection is dead.
	Keepalive *Keepalive
	// Retry says how calls are tried again.
	Retry *Retry
	// Compression is how large requests are compressed: "gzip", when the server takes it, or "none". Empty: "gzip".
	Compression string
	// MaxMessageBytes is the largest message that is sent or read. 0: 64 MiB.
	MaxMessageBytes int
	// DataConverter is the codec of a namespace whose data are encrypted. nil: values go as they are. It is in force before the
	// connection exists, and until the next Connect. See [CodecFrom].
	DataConverter PayloadCodec
	// RequireEncoded refuses, as [ErrInvalidArgument], what no codec has encoded.
	RequireEncoded bool
	// MetricsAddress is where Prometheus may fetch the [Metrics], as "ip:port". Empty: nowhere.
	MetricsAddress string
}

// Credentials are the options that can be changed while connected: see [Reconfigure] and the fields of [Options].
type Credentials struct {
	APIKey     string            `json:"api_key,omitempty"`
	APIKeyPath string            `json:"api_key_path,omitempty"`
	TLS        *TLS              `json:"tls,omitempty"`
	GRPCMeta   map[string]string `json:"grpc_meta,omitempty"`
}

// TLS secures a connection. Files are read again when they change. The zero value trusts whom the system trusts.
type TLS struct {
	// Disabled makes the connection plain, whatever else is given.
	Disabled bool `json:"disabled"`
	// ServerCACertPath and ServerCACertData are the certificates, in PEM, that the server's must be signed by: one of the two.
	ServerCACertPath string `json:"server_ca_cert_path,omitempty"`
	ServerCACertData string `json:"server_ca_cert_data,omitempty"`
	// ClientCertPath and ClientCertData are our certificate, ClientKeyPath and ClientKeyData its key, in PEM.
	ClientCertPath string `json:"client_cert_path,omitempty"`
	ClientCertData string `json:"client_cert_data,omitempty"`
	ClientKeyPath  string `json:"client_key_path,omitempty"`
	ClientKeyData  string `json:"client_key_data,omitempty"`
	// ServerName is what the server's certificate must be valid for. Empty: the host of the address.
	ServerName string `json:"server_name,omitempty"`
	// DisableHostVerification takes a certificate that is valid for another name; and any at all when no CA is given.
	DisableHostVerification bool `json:"disable_host_verification"`
}

// Proxy is an HTTP proxy.
type Proxy struct {
	// TargetHost is where it listens, as "host:port".
	TargetHost string `json:"target_host,omitempty"`
	// BasicAuthUser and BasicAuthPassword say who we are to it.
	BasicAuthUser     string `json:"basic_auth_user,omitempty"`
	BasicAuthPassword string `json:"basic_auth_password,omitempty"`
}

// Keepalive says how to notice that a connection is dead. Zero values are the defaults.
type Keepalive struct {
	Disabled bool
	// Interval is how often it is asked: 30 s.
	Interval time.Duration
	// Timeout is how long the answer may take: 15 s.
	Timeout time.Duration
}

// Retry says how calls are tried again within their time. Zero values are the defaults.
type Retry struct {
	Disabled bool
	// InitialInterval is the pause after the first try: 100 ms.
	InitialInterval time.Duration
	// Multiplier makes each pause longer than the one before: 1.7.
	Multiplier float64
	// MaxInterval is the longest pause: 2 s.
	MaxInterval time.Duration
	// RandomizationFactor is the part by up to which a pause is shorter. nil: 0.3.
	RandomizationFactor *float64
	// MaxRetries is how many tries may follow the first. 0: as many as there is time for.
	MaxRetries int
}

// json writes the options as the library reads them. An absent key leaves the choice to the environment.
func (o Options) json(timeoutMs uint32) ([]byte, error) {
	return json.Marshal(struct {
		Address   string `json:"address,omitempty"`
		Namespace string `json:"namespace,omitempty"`
		Credentials
		Authority        string         `json:"authority,omitempty"`
		Identity         string         `json:"identity,omitempty"`
		ConfigFile       string         `json:"config_file,omitempty"`
		Profile          string         `json:"profile,omitempty"`
		ConnectTimeoutMs uint32         `json:"connect_timeout_ms"`
		Lazy             bool           `json:"lazy,omitempty"`
		Proxy            *Proxy         `json:"proxy,omitempty"`
		Keepalive        *keepaliveJSON `json:"keepalive,omitempty"`
		Retry            *retryJSON     `json:"retry,omitempty"`
		Compression      string         `json:"compression,omitempty"`
		MaxMessageBytes  int            `json:"max_message_bytes,omitempty"`
		RequireEncoded   bool           `json:"require_encoded,omitempty"`
		MetricsAddress   string         `json:"metrics_address,omitempty"`
	}{
		o.HostPort, o.Namespace, Credentials{o.APIKey, o.APIKeyPath, o.TLS, o.GRPCMeta}, o.Authority, o.Identity, o.ConfigFile, o.Profile, timeoutMs,
		o.Lazy, o.Proxy, o.Keepalive.json(), o.Retry.json(), o.Compression, o.MaxMessageBytes,
		o.RequireEncoded, o.MetricsAddress,
	})
}

type keepaliveJSON struct {
	Disabled   bool  `json:"disabled,omitempty"`
	IntervalMs int64 `json:"interval_ms,omitempty"`
	TimeoutMs  int64 `json:"timeout_ms,omitempty"`
}

func (k *Keepalive) json() *keepaliveJSON {
	if k == nil {
		return nil
	}
	return &keepaliveJSON{k.Disabled, k.Interval.Milliseconds(), k.Timeout.Milliseconds()}
}

type retryJSON struct {
	Disabled            bool     `json:"disabled,omitempty"`
	InitialIntervalMs   int64    `json:"initial_interval_ms,omitempty"`
	Multiplier          float64  `json:"multiplier,omitempty"`
	MaxIntervalMs       int64    `json:"max_interval_ms,omitempty"`
	RandomizationFactor *float64 `json:"randomization_factor,omitempty"`
	MaxRetries          int      `json:"max_retries,omitempty"`
}

func (r *Retry) json() *retryJSON {
	if r == nil {
		return nil
	}
	return &retryJSON{
		r.Disabled, r.InitialInterval.Milliseconds(), r.Multiplier, r.MaxInterval.Milliseconds(), r.RandomizationFactor,
		r.MaxRetries,
	}
}
