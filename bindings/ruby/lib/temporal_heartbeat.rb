# frozen_string_literal: true

require_relative "temporal_heartbeat/abi"
require_relative "temporal_heartbeat/errors"
require_relative "temporal_heartbeat/library"
require_relative "temporal_heartbeat/values"
require_relative "temporal_heartbeat/activity"
require_relative "temporal_heartbeat/worker"

# Heartbeat a Temporal Activity from any process: see the README. Times are seconds, and a timeout of nil is for ever.
module TemporalHeartbeat
  class << self
    # Chooses the library's path. Call it before the other functions.
    def load(path) = Library.load(path)

    # Connects this process. It has one connection. Missing options are read from the environment and from a profile:
    # docs/options.md of the project describes them.
    def connect(**options) = Library.call_blocking(:thb_connect, *Values.options(options))

    # Changes credentials while connected: api_key, api_key_path, tls, grpc_meta, codec_auth, codec_headers, codec_tls.
    def reconfigure(**options) = Library.call(:thb_reconfigure, *Values.options(options))

    # Sends the recorded details, closes all activities, and ends the connection.
    def disconnect(timeout: 10) = Library.call_blocking(:thb_disconnect, Library.milliseconds(timeout))

    # Sends one heartbeat, and returns the signals. `clear: true`, without details, ERASES those on the server.
    def heartbeat(token, *details, timeout: 10, clear: false)
      if details.empty? != clear
        raise ArgumentError, "a heartbeat without details erases those on the server: pass details, or clear: true without details"
      end

      signals = Library.output
      call(:thb_heartbeat, token, *Values.encoded_all(details), Library.milliseconds(timeout), signals)
      Library.uint32(signals)
    end

    # Returns the Details that the server holds.
    def get_details(token, timeout: 10) = Details.read(:thb_get_details, *Values.token(token), Library.milliseconds(timeout))

    # Ends the activity successfully.
    def complete(token, result = nil, timeout: 10)
      call(:thb_complete, token, *Values.encoded(result), Library.milliseconds(timeout))
    end

    # Ends the attempt as failed, with an exception or a message. The fields are those of thb_fail.
    def fail(token, reason, timeout: 10, **fields)
      call(:thb_fail, token, *Values.failure(reason, fields), Library.milliseconds(timeout))
    end

    # Ends the activity as cancelled, after CANCEL_REQUESTED was returned.
    def report_cancelled(token, *details, timeout: 10)
      call(:thb_report_cancelled, token, *Values.encoded_all(details), Library.milliseconds(timeout))
    end

    # Returns the task token that the parent process handed over in the environment.
    def token_from_env = Library.text(:thb_token_from_env)

    # Returns the metrics in Prometheus's text format.
    def metrics = Library.text(:thb_get_metrics).force_encoding(Encoding::UTF_8)

    # Returns the library's version.
    def version = Library.string(:thb_version)

    private

    def call(name, token, *arguments) = Library.call_blocking(name, *Values.token(token), *arguments)
  end
end
