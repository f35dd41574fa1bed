"""A worker of the Ruby gem, and the errors of its block."""

from temporalio.exceptions import ApplicationError

from harness.examples import ruby
from python_worker.world import World
from workers.ways import running

PROGRAM = """
require "temporal_heartbeat"
TemporalHeartbeat.connect
worker = TemporalHeartbeat::Worker.new(ARGV.first)
puts "running"
$stdout.flush
worker.run do |task|
  raise Object.const_get(task.activity_type), "an error" unless task.activity_type == "Nil"
  task.activity.complete(nil)
  begin
    worker.shutdown(timeout: 0)
  rescue TemporalHeartbeat::TimeoutError
    nil
  end
end
puts "ended"
"""


def test_worker_in_ruby_survives_the_errors_of_its_block(world: World) -> None:
    program = world.folder / "worker.rb"
    program.write_text(PROGRAM)
    with running([*ruby(program), world.queue], world) as process:
        for kind in ("NotImplementedError", "SystemStackError", "LoadError"):
            failure = world.start(kind, maximum_attempts=1).failure()
            assert isinstance(failure, ApplicationError)
            assert failure.type == kind
        assert world.start("Nil").result() is None
        process.expect("^ended$")
        assert process.wait() == 0
