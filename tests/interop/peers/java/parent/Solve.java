import io.temporal.activity.ActivityInterface;

/** The interface of the activity that docs/hand-off.md prints. */
@ActivityInterface
public interface Solve {
  String solve();
}
