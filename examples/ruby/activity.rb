# Does the work of a Temporal Activity in Ruby. Needs the gem temporal_heartbeat, or the folder of its source:
#
#     ruby -I bindings/ruby/lib examples/ruby/activity.rb ITEMS
#
# Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. Records each
# finished item. If the process is killed, the Activity's next attempt resumes after the last item that the server has.

require "temporal_heartbeat"

# Returns the last item that the previous attempt recorded, or 0.
def last_item(activity)
  details = activity.details
  item = details.first || 0
  raise "the previous attempt's details are not an item: #{item}" unless item.is_a?(Integer)

  puts "attempt #{details.attempt} resumes after item #{item}"
  item
end

def work(activity, items)
  (last_item(activity) + 1).upto(items) do |item|
    sleep 0.1 # the work
    puts "item #{item} done"

    activity.heartbeat(item)
    activity.wait_while_paused # heartbeats continue
    activity.raise_if_cancelled
  end
  activity.complete(items)
end

$stdout.sync = true
TemporalHeartbeat.connect
begin
  TemporalHeartbeat::Activity.from_env { |activity| work(activity, Integer(ARGV.fetch(0, 20))) }
  puts "completed"
rescue TemporalHeartbeat::Cancelled => cancelled
  puts cancelled.signals.anybits?(TemporalHeartbeat::SIGNALS[:CANCEL_REQUESTED]) ? "cancelled" : "stopped"
ensure
  TemporalHeartbeat.disconnect
end
