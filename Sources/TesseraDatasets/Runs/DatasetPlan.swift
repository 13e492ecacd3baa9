import Crypto
import Foundation
import TesseraCore
package import TesseraImages

/// What a dataset will be, fixed before the first image is opened: settings and a frozen list of
/// inputs, cut into shards.
///
/// Shard `i` holds inputs `i * shardSamples ..< (i + 1) * shardSamples`, those that are rejected
/// left out, so its bytes depend on the plan alone: not on the other shards, workers or restarts.
package struct DatasetPlan: Codable, Hashable, Sendable {
  /// Everything beside the images on which the bytes depend.
  package let settings: DatasetSettings
  /// The number of inputs.
  package let inputs: Int
  /// The SHA-256 over the settings and each input's key, source and size.
  package let digest: String
  /// The SHA-256 over the places of the inputs, which no output depends on.
  package let locations: String
  /// The tokenizer as the user named it, for workers that have nothing but the plan.
  package let tokenizer: String
  /// The files that sequences are made with.
  package let sequenceFiles: SequenceFiles
  /// What was met beside the inputs; nil where nothing was passed over.
  ///
  /// No part of the digest: the samples do not depend on it.
  package let account: InputAccount?

  /// Makes the plan of a list of inputs in one pass; `visit` sees each input once, in order.
  package init(
    settings: DatasetSettings,
    tokenizer: String,
    sequenceFiles: SequenceFiles = SequenceFiles(),
    inputs: some Sequence<PlannedInput>,
    account: InputAccount = InputAccount(),
    visit: (PlannedInput) throws -> Void = { _ in }
  ) throws {
    var identity = SHA256()
    var places = SHA256()
    identity.update(data: try CanonicalJSON.line(settings))
    var count = 0
    for input in inputs {
      identity.update(data: try CanonicalJSON.line(Identity(input)))
      places.update(data: try CanonicalJSON.line(input.image.location))
      try visit(input)
      count += 1
    }
    (self.settings, self.tokenizer, self.sequenceFiles) = (settings, tokenizer, sequenceFiles)
    self.inputs = count
    self.account = account.total > 0 ? account : nil
    digest = identity.finalize().hexadecimal
    locations = places.finalize().hexadecimal
  }

  /// The number of shards.
  package var shardCount: Int {
    (inputs + settings.shardSamples - 1) / settings.shardSamples
  }

  /// The number of inputs of one shard.
  package func inputCount(ofShard index: Int) -> Int {
    min(settings.shardSamples, inputs - index * settings.shardSamples)
  }

  /// The part of an input on which outputs depend.
  private struct Identity: Encodable {
    let key: String
    let source: String
    let size: Int?
    let caption: String?

    init(_ input: PlannedInput) {
      key = input.image.key
      source = input.image.source
      size = input.size
      caption = input.caption
    }
  }
}
