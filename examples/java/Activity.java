import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.NativeLong;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.IntByReference;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.nio.charset.StandardCharsets;

/**
 * Does the work of a Temporal Activity in Java. Needs JNA (pom.xml) and the library:
 *
 * <pre>    java -cp jna.jar Activity.java ITEMS</pre>
 *
 * Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. Records each
 * finished item. If the process is killed, the Activity's next attempt resumes after the last item that the server has.
 */
public final class Activity {
    /** Functions from temporal_heartbeat.h. A NativeLong has the size of a size_t on Unix. */
    interface Thb extends Library {
        int thb_check_abi(int abi);
        String thb_status_name(int status);
        String thb_error_message(Pointer error);
        void thb_error_free(Pointer error);

        int thb_connect(byte[] options, NativeLong optionsLen, PointerByReference error);
        int thb_disconnect(int timeoutMs, PointerByReference error);

        int thb_activity_open(byte[] token, NativeLong tokenLen, byte[] options, NativeLong optionsLen,
                LongByReference activity, PointerByReference error);
        int thb_activity_get_details(long activity, int timeoutMs, PointerByReference details, PointerByReference error);
        int thb_activity_heartbeat(long activity, int encoding, byte[] details, NativeLong detailsLen,
                IntByReference signals, PointerByReference error);
        int thb_activity_wait(long activity, int mask, int known, int timeoutMs, IntByReference signals,
                PointerByReference error);
        int thb_activity_complete(long activity, int encoding, byte[] result, NativeLong resultLen, int timeoutMs,
                PointerByReference error);
        int thb_activity_report_cancelled(long activity, int encoding, byte[] details, NativeLong detailsLen,
                int timeoutMs, PointerByReference error);

        int thb_activity_fail(long activity, byte[] failure, NativeLong failureLen, int timeoutMs, PointerByReference error);

        Pointer thb_details_data(Pointer details, NativeLong index, LongByReference len);
        int thb_details_attempt(Pointer details);
        void thb_details_free(Pointer details);
    }

    static final int ABI = 1;
    static final int NONE = 0;
    static final int JSON = 1;
    static final int CANCEL_REQUESTED = 1;
    static final int PAUSED = 2;
    /** RESET, GONE, LEASE_LOST: this attempt must end. */
    static final int STOP = 4 | 8 | 16;
    // While only PAUSED is set, the work waits.
    static final int WHILE_PAUSED = PAUSED | CANCEL_REQUESTED | STOP;
    static final int TIMEOUT_MS = 10_000;
    static final NativeLong NOTHING = new NativeLong(0);

    static final Thb THB = Native.load(
            System.getenv().getOrDefault("TEMPORAL_HEARTBEAT_LIBRARY", "libtemporal_heartbeat.so.0"), Thb.class);

    final PointerByReference error = new PointerByReference();

    /** Throws an exception with the library's message if the status isn't THB_OK. */
    void must(int status) {
        if (status == 0) {
            return;
        }
        String message = THB.thb_status_name(status) + ": " + THB.thb_error_message(error.getValue());
        THB.thb_error_free(error.getValue());
        throw new IllegalStateException(message);
    }

    /** Returns the last item that the previous attempt recorded, or 0. */
    int lastItem(long activity) {
        PointerByReference out = new PointerByReference();
        LongByReference len = new LongByReference();
        must(THB.thb_activity_get_details(activity, TIMEOUT_MS, out, error));
        Pointer details = out.getValue();
        Pointer data = THB.thb_details_data(details, NOTHING, len);
        String text = data == null
                ? "0"
                : new String(data.getByteArray(0, (int) len.getValue()), StandardCharsets.UTF_8);
        if (!text.matches("\\d+")) {
            throw new IllegalStateException("the previous attempt's details are not an item: " + text);
        }
        int item = Integer.parseInt(text);
        System.out.println("attempt " + THB.thb_details_attempt(details) + " resumes after item " + item);
        THB.thb_details_free(details);
        return item;
    }

    String work(long activity, int items) throws InterruptedException {
        IntByReference signals = new IntByReference();
        for (int item = lastItem(activity) + 1; item <= items; item++) {
            Thread.sleep(100); // the work
            System.out.println("item " + item + " done");

            byte[] json = json(item);
            must(THB.thb_activity_heartbeat(activity, JSON, json, new NativeLong(json.length), signals, error));
            while ((signals.getValue() & WHILE_PAUSED) == PAUSED) { // heartbeats continue
                must(THB.thb_activity_wait(activity, WHILE_PAUSED, PAUSED, TIMEOUT_MS, signals, error));
            }
            if ((signals.getValue() & CANCEL_REQUESTED) != 0) {
                must(THB.thb_activity_report_cancelled(activity, NONE, null, NOTHING, TIMEOUT_MS, error));
                return "cancelled";
            }
            if ((signals.getValue() & STOP) != 0) {
                return "stopped";
            }
        }
        byte[] json = json(items);
        must(THB.thb_activity_complete(activity, JSON, json, new NativeLong(json.length), TIMEOUT_MS, error));
        return "completed";
    }

    void run(int items) throws InterruptedException {
        if (THB.thb_check_abi(ABI) != 0) {
            throw new IllegalStateException("the library has another ABI version than this program needs: install a matching library");
        }
        must(THB.thb_connect(null, NOTHING, error));
        try {
            LongByReference activity = new LongByReference();
            byte[] options = "{\"from_env\": true}".getBytes(StandardCharsets.UTF_8);
            must(THB.thb_activity_open(null, NOTHING, options, new NativeLong(options.length), activity, error));
            try {
                System.out.println(work(activity.getValue(), items));
            } catch (RuntimeException why) {
                // After this report the server retries at once, and shows the reason. It refuses the report if the attempt is over.
                byte[] failure = failure(why).getBytes(StandardCharsets.UTF_8);
                THB.thb_activity_fail(activity.getValue(), failure, new NativeLong(failure.length), TIMEOUT_MS, null);
                throw why;
            }
        } finally {
            THB.thb_disconnect(TIMEOUT_MS, null); // sends the last record and closes the activity
        }
    }

    /** Returns the JSON of thb_fail. */
    static String failure(RuntimeException why) {
        StringBuilder message = new StringBuilder();
        for (char c : String.valueOf(why.getMessage()).toCharArray()) {
            message.append(c < ' ' || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return "{\"message\": \"" + message + "\", \"type\": \"" + why.getClass().getSimpleName() + "\"}";
    }

    static byte[] json(int item) {
        return Integer.toString(item).getBytes(StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) throws InterruptedException {
        new Activity().run(arguments.length > 0 ? Integer.parseInt(arguments[0]) : 20);
    }
}
