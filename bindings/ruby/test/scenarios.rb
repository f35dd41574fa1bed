# Runs one scenario on the activity of the environment, and prints what it observes: tests/e2e/test_node_ruby.py.

require "temporal_heartbeat"

THB = TemporalHeartbeat

def print_all(*values) = puts(values.map { |value| value.is_a?(String) ? value : JSON.generate(value) }.join(" "))

def code_of
  yield
  "THB_OK"
rescue THB::Error => error
  error.code
rescue StandardError => error
  # The names of the classes in JavaScript.
  case error
  when TypeError, JSON::GeneratorError then "TypeError"
  when ArgumentError then error.message.include?("timeout") ? "RangeError" : "TypeError"
  else error.class.name.delete_prefix("TemporalHeartbeat::")
  end
end

module Scenarios
  module_function

  def values(token)
    sent = [1.5, nil, "ü", [true], { "a" => { "b" => 1 } }]
    print_all THB.heartbeat(token, *sent, "\x00\xFF".b)
    details = THB.get_details(token)
    print_all details.first(5), details[5].unpack1("H*")
    print_all details.attempt, (Time.now - details.recorded_at).abs < 60, (details.heartbeat_timeout * 1000).to_i
    THB.heartbeat(token, details)
    unreadable = ["0a140a120a08656e636f64696e671206617574682f31"].pack("H*")
    THB.heartbeat(token, THB::Payloads.new(unreadable))
    print_all THB.get_details(token).first.encoding
    print_all code_of { THB.heartbeat(token) }, code_of { THB.heartbeat(token, 1, clear: true) }
    THB.heartbeat(token, clear: true)
    print_all THB.get_details(token).to_a
    THB.complete(token, { done: true })
  end

  def stalled(token)
    activity = THB::Activity.open(token, stall_timeout: 0.3, stall_action: "fail")
    activity.set_status("läuft")
    print_all activity.info["status"], code_of { activity.set_status("x" * 4097) }
    activity.wait(mask: THB::SIGNALS[:GONE])
    print_all(code_of { activity.heartbeat(1) })
    activity.close
  end

  def errors(token)
    activity = THB::Activity.open(token, initial_details: [])
    print_all(code_of { THB::Activity.open(token) })
    print_all(code_of { THB.heartbeat(token, 1) })
    print_all(code_of { THB.connect })
    print_all(code_of { activity.complete(Float::NAN) }, code_of { THB.complete(:token) })
    print_all(code_of { activity.details(timeout: -1) }, code_of { THB::Activity.open(token, plse: true) })
    print_all activity.details.to_a, activity.info["state"]
    activity.complete("done")
    print_all(code_of { activity.heartbeat(1) }, code_of { activity.complete })
    activity.close
    activity.close
    print_all(code_of { activity.signals }, code_of { THB.heartbeat(token, 1) })
  end

  def cancelled(token)
    THB::Activity.open(token, heartbeat_timeout: 60, follow_server: true) do |activity|
      print_all activity.wait(timeout: 0.03)
      print_all "open", activity.reason
      print_all activity.wait(mask: THB::SIGNALS[:CANCEL_REQUESTED])
      print_all code_of { activity.raise_if_cancelled }, activity.reason
      begin
        activity.raise_if_cancelled
      rescue THB::Cancelled => error
        print_all error.message, error.reason
      end
      activity.report_cancelled({ cleaned: "up" })
    end
  end

  def failed(token)
    print_all(
      code_of do
        THB::Activity.open(token, close_timeout: 20) do |activity|
          activity.heartbeat(7)
          begin
            raise "the reason"
          rescue StandardError
            raise TypeError, "no such item"
          end
        end
      end
    )
  end

  def failedFinally(token)
    THB.fail(token, "give up", type: "Final", non_retryable: true, details: [1, "two"], cause: RuntimeError.new("why"))
  end

  def abandoned(token)
    $stderr = $stdout
    Thread.new { THB::Activity.open(token) && nil }.join
    while code_of { THB.heartbeat(token, 1) } == "THB_ALREADY_OPEN"
      Array.new(1000) { Object.new }
      GC.start
    end
  end

  def interrupted(_token)
    THB.disconnect
    began = Time.now
    main = Thread.current
    Thread.new { main.raise(Class.new(StandardError) { def self.name = "TimeoutError" }) }
    print_all code_of { THB.connect(address: "127.0.0.1:1", connect_timeout: 60) }, Time.now - began < 30
  end

  def inactive
    THB.connect(when_absent: "inactive", tls: { server_ca_cert_path: "/no/such/file" })
    activity = nil
    THB::Activity.from_env(when_absent: "inactive") do |opened|
      activity = opened
      print_all activity.details.to_a, activity.heartbeat({ item: 41 }), activity.wait_while_paused
      print_all activity.wait(timeout: 0.001), activity.info["state"]
      2.times { activity.complete("done") }
    end
    print_all code_of { THB.heartbeat("token", 1) }, code_of { activity.heartbeat(1) }
    ENV["TEMPORAL_ACTIVITY_TASK_TOKEN"] = ""
    print_all code_of { THB::Activity.from_env(when_absent: "inactive") }
    THB.disconnect
  end

  # No server listens at the port, so the call waits until its timeout.
  def exits(token)
    THB.disconnect
    THB.connect(address: "127.0.0.1:1", lazy: true)
    Thread.new { code_of { THB.heartbeat(token, 1, timeout: nil) } }
    Thread.pass until Thread.list.size > 2 # that of the call runs
    exit
  end
end

$stdout.sync = true
if ARGV.first == "inactive"
  Scenarios.inactive
else
  THB.connect
  Scenarios.send(ARGV.first, THB.token_from_env)
  THB.disconnect
end
