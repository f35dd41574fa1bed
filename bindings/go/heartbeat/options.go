package heartbeat

import (
	"cmp"
	"encoding/json"
	"os"
	"time"
)

// Options are the options of [Connect]. As in every Temporal client, an unset option is read from the environment, otherwise from a
// profile of temporal.toml; otherwise its default applies. docs/options.md describes each option.
type Options struct {
	// HostPort is the server's address as "host:port". Empty: TEMPORAL_ADDRESS, else 127.0.0.1:7233.
	HostPort string
	// Namespace is the namespace of the activities. Empty: TEMPORAL_NAMESPACE, else "default".
	Namespace string
	// APIKey is sent with every request. Empty: TEMPORAL_API_KEY. It turns TLS on.
	APIKey string
	// APIKeyPath is a file with the API key. It is read again when it changes.
	APIKeyPath string
	// TLS secures the connection. nil: the environment or the profile decides. Without them, TLS is used only with an API key.
	TLS *TLS
	// GRPCMeta are headers of every request. They override those of the environment.
	GRPCMeta map[string]string
	// Authority is the :authority header of requests. Empty: the address.
	Authority string
	// Identity is the name of this process in workflow histories. Empty: pid@host.
	Identity string
	// ConfigFile is the file with the profiles. Empty: TEMPORAL_CONFIG_FILE, else the user's temporalio/temporal.toml.
	ConfigFile string
	// Profile is the profile in ConfigFile. Empty: TEMPORAL_PROFILE, else "default".
	Profile string
	// ConnectTimeout bounds the wait for a server that doesn't answer, like the deadline of the context. 0: that deadline, otherwise
	// DefaultTimeout.
	ConnectTimeout time.Duration
	// Lazy connects with the first call. Connect then only checks the options.
	Lazy bool
	// Proxy is the HTTP proxy of the connection.
	Proxy *Proxy
	// Keepalive detects dead connections.
	Keepalive *Keepalive
	// Retry sets how calls are retried.
	Retry *Retry
	// Compression compresses large requests: "gzip", if the server accepts it, or "none". Empty: "gzip".
	Compression string
	// MaxMessageBytes bounds the messages that are sent and read. 0: 64 MiB.
	MaxMessageBytes int
	// PayloadCodec is the codec of a namespace with encrypted data. nil: values are sent unchanged. The codec is active before the
	// connection exists, and until the next Connect. [OpenOptions] and [WithPayloadCodec] override it. See [CodecFrom].
	PayloadCodec PayloadCodec
	// DataConverter converts and encodes all values, instead of PayloadCodec. nil: as the documentation of the package describes.
	// [OpenOptions] and [WithDataConverter] override it. See [DataConverterFrom].
	DataConverter DataConverter
	// CodecEndpoint is the URL of a codec server, without "/encode", which then encodes and decodes all values that no PayloadCodec or
	// DataConverter has encoded. "{namespace}" in it is replaced. Empty: TEMPORAL_CODEC_ENDPOINT, else none.
	CodecEndpoint string
	// CodecAuth is the header Authorization of requests to the codec server. Empty: TEMPORAL_CODEC_AUTH.
	CodecAuth string
	// CodecHeaders are more headers of these requests.
	CodecHeaders map[string]string
	// CodecTLS secures the connection to a codec server at https://.
	CodecTLS *CodecTLS
	// CodecHTTPHost is the host of a codec server that may be reached by http://. Otherwise this is accepted for this computer only.
	CodecHTTPHost string
	// EncodeCommonAttributes also encodes the message and the stack trace of failures and of their causes, like values. The workers need a failure converter with the option of that name. Otherwise these texts are readable.
	EncodeCommonAttributes bool
	// RequireEncoded refuses values that no codec has encoded, with [ErrInvalidArgument].
	RequireEncoded bool
	// MetricsAddress is the "ip:port" at which Prometheus can fetch the [Metrics]. Empty: none.
	MetricsAddress string
	// WhenAbsent "inactive" lets a program run by hand. If there is no activity in the environment, as for [OpenFromEnv], Connect reads
	// and dials nothing, and the functions that take a task token return [ErrNotConnected]. Empty: "error".
	WhenAbsent string
}

// Credentials are the options that [Reconfigure] changes. [Options] describes them.
type Credentials struct {
	APIKey     string            `json:"api_key,omitempty"`
	APIKeyPath string            `json:"api_key_path,omitempty"`
	TLS        *TLS              `json:"tls,omitempty"`
	GRPCMeta   map[string]string `json:"grpc_meta,omitempty"`

	CodecAuth    string            `json:"codec_auth,omitempty"`
	CodecHeaders map[string]string `json:"codec_headers,omitempty"`
	CodecTLS     *CodecTLS         `json:"codec_tls,omitempty"`
}

// TLS secures a connection. Files are read again when they change. The zero value trusts the certificates of the system.
type TLS struct {
	// Disabled connects without TLS, even if other options require it.
	Disabled bool `json:"disabled"`
	// ServerCACertPath or ServerCACertData has the CA certificates of the server, in PEM.
	ServerCACertPath string `json:"server_ca_cert_path,omitempty"`
	ServerCACertData string `json:"server_ca_cert_data,omitempty"`
	// ClientCertPath or ClientCertData has the client certificate, and ClientKeyPath or ClientKeyData its key, in PEM.
	ClientCertPath string `json:"client_cert_path,omitempty"`
	ClientCertData string `json:"client_cert_data,omitempty"`
	ClientKeyPath  string `json:"client_key_path,omitempty"`
	ClientKeyData  string `json:"client_key_data,omitempty"`
	// ServerName is the name in the server's certificate. Empty: the host of the address.
	ServerName string `json:"server_name,omitempty"`
	// DisableHostVerification accepts a certificate for another name, and without a CA any certificate.
	DisableHostVerification bool `json:"disable_host_verification"`
}

// CodecTLS secures the connection to a codec server. The fields are those of [TLS].
type CodecTLS struct {
	ServerCACertPath        string `json:"server_ca_cert_path,omitempty"`
	ServerCACertData        string `json:"server_ca_cert_data,omitempty"`
	ClientCertPath          string `json:"client_cert_path,omitempty"`
	ClientCertData          string `json:"client_cert_data,omitempty"`
	ClientKeyPath           string `json:"client_key_path,omitempty"`
	ClientKeyData           string `json:"client_key_data,omitempty"`
	ServerName              string `json:"server_name,omitempty"`
	DisableHostVerification bool   `json:"disable_host_verification"`
}

// Proxy is an HTTP proxy.
type Proxy struct {
	// TargetHost is the proxy's address as "host:port".
	TargetHost string `json:"target_host,omitempty"`
	// BasicAuthUser and BasicAuthPassword are the credentials for the proxy.
	BasicAuthUser     string `json:"basic_auth_user,omitempty"`
	BasicAuthPassword string `json:"basic_auth_password,omitempty"`
}

// Keepalive detects dead connections by HTTP/2 PINGs. Zero values are the defaults.
type Keepalive struct {
	Disabled bool
	// Interval is the time between two PINGs. 0: 30 s.
	Interval time.Duration
	// Timeout is the time for the answer. 0: 15 s.
	Timeout time.Duration
}

// Retry sets how calls are retried within their timeout. Zero values are the defaults.
type Retry struct {
	Disabled bool
	// InitialInterval is the wait before the first retry. 0: 100 ms.
	InitialInterval time.Duration
	// Multiplier is the ratio of each wait to the one before. 0: 1.7.
	Multiplier float64
	// MaxInterval is the longest wait. 0: 2 s.
	MaxInterval time.Duration
	// RandomizationFactor is the largest part by which jitter shortens a wait. nil: 0.3.
	RandomizationFactor *float64
	// MaxRetries bounds the retries. 0: only the timeout bounds them.
	MaxRetries int
}

// conversion returns the conversion of the connection.
func (o Options) conversion() conversion {
	namespace := cmp.Or(o.Namespace, os.Getenv("TEMPORAL_NAMESPACE"))
	return conversion{o.PayloadCodec, o.DataConverter, namespace, o.EncodeCommonAttributes}
}

// marshal returns the options in the JSON of the library. For an absent key, the library reads the environment.
func (o Options) marshal(timeoutMs uint32) ([]byte, error) {
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
		CodecEndpoint    string         `json:"codec_endpoint,omitempty"`
		CodecHTTPHost    string         `json:"codec_http_host,omitempty"`
		// The library encodes the texts of the failures that no codec here has encoded.
		EncodeCommonAttributes bool   `json:"encode_common_attributes,omitempty"`
		MetricsAddress         string `json:"metrics_address,omitempty"`
		WhenAbsent             string `json:"when_absent,omitempty"`
	}{
		o.HostPort, o.Namespace,
		Credentials{o.APIKey, o.APIKeyPath, o.TLS, o.GRPCMeta, o.CodecAuth, o.CodecHeaders, o.CodecTLS},
		o.Authority, o.Identity, o.ConfigFile, o.Profile, timeoutMs,
		o.Lazy, o.Proxy, o.Keepalive.json(), o.Retry.json(), o.Compression, o.MaxMessageBytes,
		o.RequireEncoded, o.CodecEndpoint, o.CodecHTTPHost, o.EncodeCommonAttributes && o.conversion().isDefault(), o.MetricsAddress,
		o.WhenAbsent,
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
