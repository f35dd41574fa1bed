// A child with the codec of peers/python/cipher.py. It records a text and fails; the next attempt completes with that text.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

namespace {

class Cipher : public thb::PayloadCodec {
public:
    thb::Result<std::vector<thb::Payload>> encode(std::vector<thb::Payload> payloads) override {
        for (thb::Payload &payload : payloads)
            payload = {{{"encoding", "binary/encrypted"}, {"encryption-key-id", "interop"}}, mixed(payload.serialize())};
        return payloads;
    }
    thb::Result<std::vector<thb::Payload>> decode(std::vector<thb::Payload> payloads) override {
        for (thb::Payload &payload : payloads) {
            if (payload.encoding() != "binary/encrypted") continue;
            auto decoded = thb::Payload::parse(mixed(payload.data));
            if (!decoded) return thb::Error(THB_INVALID_ARGUMENT, "another key has encrypted it");
            payload = *std::move(decoded);
        }
        return payloads;
    }

private:
    static std::string mixed(std::string bytes) {
        for (char &byte : bytes) byte = static_cast<char>(byte ^ 0x5A);
        return bytes;
    }
};

}  // namespace

int main(int argc, char **argv) try {
    if (argc != 2) return 2;
    const std::string_view secret = argv[1];
    const thb::Client client =
        thb::Client::connect(R"({"require_encoded": true, "encode_common_attributes": true})", std::make_shared<Cipher>())
            .value();
    const thb::Activity activity = thb::Activity::from_env().value();
    if (const auto recorded = activity.details().value().text()) {
        activity.complete(*recorded).value();
    } else {
        activity.heartbeat(secret).value();
        activity.fail(thb::Failure(secret).stack_trace(secret).details({secret}).cause(secret)).value();
    }
    return EXIT_SUCCESS;
} catch (const thb::Error &error) {
    std::cerr << error.what() << '\n';
    return EXIT_FAILURE;
}
