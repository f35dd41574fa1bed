package beats;

import io.temporal.client.ActivityCompletionClient;
import io.temporal.client.WorkflowClient;
import io.temporal.serviceclient.WorkflowServiceStubs;
import io.temporal.serviceclient.WorkflowServiceStubsOptions;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.atomic.AtomicIntegerArray;

/** Threads that send heartbeats through the official Java SDK. See ../../README.md. */
public final class Main {
    // The JIT compiler needs a longer warm-up than the other programs.
    private static final long WARM_UP_MS = 4000;
    /** A histogram of nanoseconds with 2^8 buckets per doubling. */
    private static final int STEP_BITS = 8, STEPS = 1 << STEP_BITS, BUCKETS = STEPS * 32;

    private static final AtomicIntegerArray HISTOGRAM = new AtomicIntegerArray(BUCKETS);
    private static volatile boolean measuring, ending;

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        List<String> tokens = Files.readAllLines(Path.of(arguments[1]));
        int callers = Integer.parseInt(arguments[2]);
        byte[] details = new byte[Integer.parseInt(arguments[3])];
        double seconds = Double.parseDouble(arguments[4]);
        Arrays.fill(details, (byte) 'x');

        WorkflowServiceStubs stubs =
                WorkflowServiceStubs.newServiceStubs(WorkflowServiceStubsOptions.newBuilder().setTarget(address).build());
        ActivityCompletionClient client = WorkflowClient.newInstance(stubs).newActivityCompletionClient();
        Thread[] threads = new Thread[callers];
        for (int i = 0; i < callers; i++) {
            byte[] token = HexFormat.of().parseHex(tokens.get(i % tokens.size()));
            threads[i] = new Thread(() -> beat(client, token, details));
        }
        // If SECONDS is 0, each caller sends one heartbeat.
        ending = seconds == 0;
        for (int i = 0; i < callers; i++) threads[i].start();
        if (!ending) Thread.sleep(WARM_UP_MS);
        long cpu = cpuNs(), began = System.nanoTime();
        measuring = true;
        Thread.sleep((long) (seconds * 1000));
        measuring = false;
        double cpuSeconds = (cpuNs() - cpu) / 1e9, took = (System.nanoTime() - began) / 1e9;
        ending = true;
        for (Thread thread : threads) thread.join();

        long calls = 0;
        for (int i = 0; i < BUCKETS; i++) calls += HISTOGRAM.get(i);
        System.out.printf(
                "{\"calls\":%d,\"seconds\":%f,\"cpu_s\":%f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"rss_mb\":%.2f}%n",
                calls, took, cpuSeconds, quantileUs(calls, 0.5), quantileUs(calls, 0.99), peakMemoryMb());
        System.exit(0);
    }

    private static void beat(ActivityCompletionClient client, byte[] token, byte[] details) {
        long before = System.nanoTime();
        do {
            client.heartbeat(token, details.length > 0 ? details : null);
            long after = System.nanoTime();
            if (measuring) HISTOGRAM.incrementAndGet(bucket(after - before));
            before = after;
        } while (!ending);
    }

    private static int bucket(long ns) {
        int octave = 63 - Long.numberOfLeadingZeros(ns | STEPS) - STEP_BITS;
        return (int) Math.min(octave * STEPS + (ns >> octave), BUCKETS - 1);
    }

    private static double quantileUs(long calls, double part) {
        long seen = 0;
        for (int i = 0; i < BUCKETS; i++) {
            seen += HISTOGRAM.get(i);
            if (seen == 0 || seen < part * calls) continue;
            int octave = i < 2 * STEPS ? 0 : i / STEPS - 1;
            return ((long) (i - octave * STEPS) << octave) / 1e3;
        }
        return 0;
    }

    private static long cpuNs() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static double peakMemoryMb() throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) return Double.parseDouble(line.replaceAll("[^0-9]", "")) / 1024;
        }
        return 0;
    }
}
