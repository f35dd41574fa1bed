package interop;

import com.google.protobuf.Duration;
import com.google.protobuf.ListValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** The values in Java, by the names of docs/values.md. */
final class Values {
  public static final class Progress {
    public String name = "solve";
    public int item = 41;
  }

  private static final Map<String, Object> WRITTEN = new HashMap<>();
  private static final Map<String, Class<?>> READ = new HashMap<>();

  static {
    both("integer", 42);
    both("large integer", 9007199254740993L);
    both("fraction", 0.1);
    both("whole float", 3.0);
    both("boolean", true);
    both("text", "seven of nine");
    both("Unicode", "é 漢 😀 <&>");
    both("nested", nested());
    both("bytes", new byte[] {0, 1, -1});
    both("empty bytes", new byte[0]);
    both("object", new Progress());
    both("Duration", Duration.newBuilder().setSeconds(1).setNanos(500_000_000).build());
    both("Struct", struct());
    both("time", Instant.parse("2025-06-01T12:00:00.500Z"));
    both("UUID", new UUID(0, 7));
    WRITTEN.put("null", null);
    WRITTEN.put("not a number", Double.NaN);
    READ.put("nil bytes", byte[].class);
    READ.put("named bytes", byte[].class);
    READ.put("not a number", Double.class);
  }

  static Object named(String name) {
    if (!WRITTEN.containsKey(name)) throw new IllegalArgumentException("no value is named " + name);
    return WRITTEN.get(name);
  }

  /** Returns the type into which a program would read the value of this name, or Object for values of other languages. */
  static Class<?> type(String name) {
    return READ.getOrDefault(name, Object.class);
  }

  private static void both(String name, Object value) {
    WRITTEN.put(name, value);
    READ.put(name, value instanceof Map ? Map.class : value.getClass());
  }

  private static Map<String, Object> nested() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("b", Arrays.asList(1, "two", null));
    map.put("a", Map.of("deep", List.of()));
    return map;
  }

  private static Struct struct() {
    Value half = Value.newBuilder().setNumberValue(0.5).build();
    Value two = Value.newBuilder().setStringValue("two").build();
    ListValue items = ListValue.newBuilder().addValues(half).addValues(two).build();
    return Struct.newBuilder().putFields("items", Value.newBuilder().setListValue(items).build()).build();
  }
}
