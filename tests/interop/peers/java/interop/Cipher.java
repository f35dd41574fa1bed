package interop;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.temporal.api.common.v1.Payload;
import io.temporal.payload.codec.PayloadCodec;
import java.util.List;

/** Encrypts payloads. It is simple and not secure, because the tests need no secrecy. Every peer has the same cipher. */
final class Cipher implements PayloadCodec {
  private static final ByteString ENCRYPTED = ByteString.copyFromUtf8("binary/encrypted");
  private static final int KEY = 0x5a;

  @Override
  public List<Payload> encode(List<Payload> payloads) {
    return payloads.stream().map(Cipher::encrypted).toList();
  }

  @Override
  public List<Payload> decode(List<Payload> payloads) {
    return payloads.stream().map(Cipher::decrypted).toList();
  }

  private static Payload encrypted(Payload payload) {
    return Payload.newBuilder()
        .putMetadata("encoding", ENCRYPTED)
        .putMetadata("encryption-key-id", ByteString.copyFromUtf8("interop"))
        .setData(mixed(payload.toByteString()))
        .build();
  }

  private static Payload decrypted(Payload payload) {
    if (!ENCRYPTED.equals(payload.getMetadataMap().get("encoding"))) return payload;
    try {
      return Payload.parseFrom(mixed(payload.getData()));
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalArgumentException(error);
    }
  }

  private static ByteString mixed(ByteString data) {
    byte[] bytes = data.toByteArray();
    for (int i = 0; i < bytes.length; i++) bytes[i] ^= KEY;
    return ByteString.copyFrom(bytes);
  }
}
