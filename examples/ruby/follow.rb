# Waits until its Activity is cancelled, and prints the reason. By the option follow_server, a cancellation is noticed at
# once, not with the next heartbeat. Needs the gem temporal_heartbeat, or the folder of its source.

require "temporal_heartbeat"

$stdout.sync = true
TemporalHeartbeat.connect
TemporalHeartbeat::Activity.from_env(follow_server: true) do |activity|
  puts "waiting"
  signals = activity.wait(mask: TemporalHeartbeat::STOP_SIGNALS) # in a thread beside the work
  if signals.anybits?(TemporalHeartbeat::SIGNALS[:CANCEL_REQUESTED])
    puts "cancelled: #{activity.reason}"
    activity.report_cancelled
  end
end
TemporalHeartbeat.disconnect
