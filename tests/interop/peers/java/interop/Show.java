package interop;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import io.temporal.common.converter.JacksonJsonPayloadConverter;
import java.util.HexFormat;

/** Shows a value that was read: its type, and its value as JSON or in hexadecimal digits. */
final class Show {
  private static final ObjectMapper JSON = JacksonJsonPayloadConverter.newDefaultObjectMapper();

  static String show(Object value) {
    if (value == null) return "null";
    return (value.getClass().getSimpleName() + " " + text(value)).strip();
  }

  static String json(Object value) {
    try {
      return JSON.writeValueAsString(value);
    } catch (JsonProcessingException error) {
      throw new IllegalStateException(error);
    }
  }

  private static String text(Object value) {
    if (value instanceof byte[] bytes) return HexFormat.of().formatHex(bytes);
    if (!(value instanceof Message message)) return json(value);
    try {
      return JsonFormat.printer().print(message);
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalStateException(error);
    }
  }
}
