import io.temporal.activity.ActivityInterface;

/** The activity that docs/hand-off.md prints an implementation of. */
@ActivityInterface
public interface Solve {
  String solve();
}
