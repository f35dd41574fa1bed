package interop;

import io.temporal.activity.ActivityOptions;
import io.temporal.common.RetryOptions;
import io.temporal.common.converter.Values;
import io.temporal.failure.ActivityFailure;
import io.temporal.failure.ApplicationFailure;
import io.temporal.failure.TimeoutFailure;
import io.temporal.workflow.Workflow;
import io.temporal.workflow.WorkflowInterface;
import io.temporal.workflow.WorkflowMethod;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

@WorkflowInterface
public interface InteropWorkflow {
  @WorkflowMethod(name = "Interop")
  Ending run(String value, boolean records, int heartbeatTimeoutMs, int maximumAttempts);

  final class Ending {
    public String ended;
    public String message;
    public List<String> seen;

    Ending(String ended, String message, List<String> seen) {
      this.ended = ended;
      this.message = message;
      this.seen = seen;
    }
  }

  final class Implementation implements InteropWorkflow {
    @Override
    public Ending run(String value, boolean records, int heartbeatTimeoutMs, int maximumAttempts) {
      Class<?> type = interop.Values.type(value);
      try {
        Object result =
            Workflow.newUntypedActivityStub(options(heartbeatTimeoutMs, maximumAttempts))
                .execute("interop", type, value, records);
        return new Ending("completed", "", List.of(Show.show(result)));
      } catch (ActivityFailure failure) {
        if (failure.getCause() instanceof TimeoutFailure timeout) {
          return new Ending("timed out", timeout.getOriginalMessage(), shown(timeout.getLastHeartbeatDetails(), type));
        }
        if (failure.getCause() instanceof ApplicationFailure application) {
          return new Ending("failed", application.getOriginalMessage(), shown(application.getDetails(), type));
        }
        throw failure;
      }
    }

    private static ActivityOptions options(int heartbeatTimeoutMs, int maximumAttempts) {
      Duration interval = Duration.ofMillis(100);
      return ActivityOptions.newBuilder()
          .setStartToCloseTimeout(Duration.ofMinutes(2))
          .setHeartbeatTimeout(Duration.ofMillis(heartbeatTimeoutMs))
          .setRetryOptions(
              RetryOptions.newBuilder()
                  .setInitialInterval(interval)
                  .setMaximumInterval(interval)
                  .setMaximumAttempts(maximumAttempts)
                  .build())
          .build();
    }

    private static List<String> shown(Values values, Class<?> type) {
      List<String> shown = new ArrayList<>();
      for (int i = 0; i < values.getSize(); i++) shown.add(Show.show(values.get(i, type)));
      return shown;
    }
  }
}
