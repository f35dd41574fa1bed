# An activity worker in Ruby. Needs the gem temporal_heartbeat, or the folder of its source:
#
#     ruby -I bindings/ruby/lib examples/ruby/worker.rb TASK_QUEUE TASKS
#
# Takes tasks from the task queue, does ten steps for each, and ends after this number of tasks. A task continues after the
# last step that a killed worker recorded. The server's address is read from TEMPORAL_ADDRESS.

require "temporal_heartbeat"

STEPS = 10

$stdout.sync = true
TemporalHeartbeat.connect
worker = TemporalHeartbeat::Worker.new(ARGV.fetch(0, "models"), max_tasks: Integer(ARGV.fetch(1, 1)))
puts "running"
worker.run do |task|
  ((task.details.first || 0) + 1).upto(STEPS) do |step|
    task.activity.heartbeat(step) # after the work
    task.activity.raise_if_cancelled
  end
  task.activity.complete("#{STEPS} steps")
end
TemporalHeartbeat.disconnect
