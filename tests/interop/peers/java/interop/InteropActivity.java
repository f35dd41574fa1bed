package interop;

import io.temporal.activity.Activity;
import io.temporal.activity.ActivityExecutionContext;
import io.temporal.activity.ActivityInfo;
import io.temporal.activity.ActivityInterface;
import io.temporal.activity.ActivityMethod;
import io.temporal.failure.ApplicationFailure;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

@ActivityInterface
public interface InteropActivity {
  @ActivityMethod(name = "interop")
  void interop(String value, boolean records);

  final class Implementation implements InteropActivity {
    @Override
    public void interop(String value, boolean records) {
      ActivityExecutionContext context = Activity.getExecutionContext();
      ActivityInfo info = context.getInfo();
      if (records && info.getAttempt() == 1) {
        context.heartbeat(Values.named(value));
        throw ApplicationFailure.newFailure("recorded", "Recorded");
      }
      Object details = context.getHeartbeatDetails(Values.type(value)).orElse(null);
      Main.printLine(
          Map.of(
              "workflow", info.getWorkflowId(),
              "attempt", info.getAttempt(),
              "token", HexFormat.of().formatHex(context.getTaskToken()),
              "seen", List.of(Show.show(details))));
      context.doNotCompleteOnReturn();
    }
  }
}
