# frozen_string_literal: true

Gem::Specification.new do |spec|
  spec.name = "temporal_heartbeat"
  # Packing sets these, for the release and the platform of the native library.
  spec.version = ENV.fetch("THB_VERSION", "0.0.0")
  spec.platform = ENV.fetch("THB_GEM_PLATFORM", Gem::Platform::RUBY)
  spec.summary = "Heartbeat a Temporal Activity from any process"
  spec.authors = ["The temporal-heartbeat authors"]
  spec.licenses = ["MIT", "Apache-2.0"]
  spec.required_ruby_version = ">= 3.1"
  spec.files = Dir["lib/**/*", "README.md", "LICENSE-*"]
  spec.metadata = { "rubygems_mfa_required" => "true" }
end
