public import Readers
import Tensors
public import Tokenization
import Writers

/// Whether a dataset is what its manifest says, and what its originals give.
public struct DatasetVerification: Sendable {
  private let dataset: TokenDataset

  /// Prepares for a dataset.
  public init(of dataset: TokenDataset) { self.dataset = dataset }

  /// Every file that the manifest names: shards first, then those without samples.
  public var files: [DatasetFile] {
    let shards = dataset.manifest.shards.map {
      DatasetFile(name: $0.name, bytes: $0.bytes, sha256: $0.sha256)
    }
    return shards + (dataset.manifest.layout?.files ?? [])
  }

  /// What is wrong with one file, or nil: it is read from start to end.
  ///
  /// - Throws: `FileError` where this machine, not the file, is at fault.
  public func problem(of file: DatasetFile) throws -> String? {
    guard SafePath.isInside(file.name) else { return "is not below the folder" }
    let path = "\(dataset.path)/\(file.name)"
    do {
      let size = try FileDigest.size(of: path)
      guard size == file.bytes else {
        return "has \(size) bytes where the manifest says \(file.bytes)"
      }
      let hash = try FileDigest.sha256(of: path)
      return hash == file.sha256
        ? nil : "has SHA-256 \(hash.prefix(12))… where the manifest says \(file.sha256.prefix(12))…"
    } catch {
      guard !error.isMachineFault else { throw error }
      return "cannot be read: \(error)"
    }
  }

  /// What contradicts the manifest's totals, a sentence each.
  ///
  /// - Throws: `FileError` or ``DatasetError`` where `rejected.jsonl` cannot be read.
  public func contradictions() throws -> [String] {
    let manifest = dataset.manifest
    var found: [String] = []
    func compare(_ what: String, _ sum: Int, _ stated: Int) {
      if sum != stated { found.append("\(sum) \(what) where the manifest says \(stated)") }
    }
    compare(
      "samples in its shards",
      manifest.shards.reduce(0) { $0 + $1.samples },
      manifest.samples
    )
    compare("tokens in its shards", manifest.shards.reduce(0) { $0 + $1.tokens }, manifest.tokens)
    var rejected = 0
    try RejectionList(folder: dataset.path).forEach { _ in rejected += 1 }
    compare("lines of \(DatasetManifest.rejectedFileName)", rejected, manifest.rejected)
    return found
  }

  /// The places of samples to look at, spread over the whole dataset: for each shard, positions in it.
  ///
  /// - Parameter count: How many; all where there are no more.
  /// - Returns: Shards in order, with ascending positions.
  public func spread(_ count: Int) -> [(shard: DatasetShard, positions: [Int])] {
    let total = dataset.manifest.samples
    let chosen = min(count, total)
    var next = 0
    var start = 0
    var places: [(shard: DatasetShard, positions: [Int])] = []
    for shard in dataset.manifest.shards {
      var positions: [Int] = []
      // The n-th of them stands in the middle of the n-th part.
      while next < chosen {
        let index = Int(Double(total) * (Double(next) + 0.5) / Double(chosen))
        guard index < start + shard.samples else { break }
        positions.append(index - start)
        next += 1
      }
      if !positions.isEmpty { places.append((shard, positions)) }
      start += shard.samples
    }
    return places
  }
}

/// Samples encoded again from their originals.
public struct SampleReencoding: Sendable {
  private let images: ImageTokenization
  private let originals: String

  /// Prepares for a dataset.
  ///
  /// - Parameters:
  ///   - settings: What its manifest says.
  ///   - tokenizer: The tokenizer that the settings name.
  ///   - originals: The folder below which the sources lie.
  /// - Throws: `TokenizerError` where the tokenizer is another one.
  public init(settings: DatasetSettings, tokenizer: ImageTokenizer, originals: String) throws {
    images = try ImageTokenization(settings: settings, tokenizer: tokenizer)
    self.originals = originals
  }

  /// One sample, compared.
  public struct Result: Sendable {
    /// The sample's key.
    public let key: String
    /// What differs, or nil: the codes are the same.
    public let problem: String?
  }

  /// Encodes the original of a sample and compares the codes.
  ///
  /// - Throws: Where this machine is at fault.
  @concurrent @Sendable
  public func result(of sample: DatasetSample) async throws -> Result {
    Result(key: sample.key, problem: try await problem(of: sample))
  }

  private func problem(of sample: DatasetSample) async throws -> String? {
    do {
      let description = try sample.description()
      guard SafePath.isInside(description.source) else {
        return "its source is not below the folder"
      }
      let image = ImageInput(
        key: description.key,
        source: description.source,
        location: .file(root: originals)
      )
      switch try await images.sample(of: PlannedInput(image)) {
      case .rejected(let rejection): return "its original: \(rejection.reason)"
      case .sample(let again):
        guard again.description.sha256 == description.sha256 else {
          return "its original is another file than the one that was tokenized"
        }
        return try difference(sample.tensor("codes.npy"), again.codes)
      }
    } catch let error as any ClassifiedError {
      if let error = error as? FileError, error.isMachineFault { throw error }
      return "\(error)"
    }
  }

  private func difference(_ stored: Tensor, _ again: Tensor) -> String? {
    guard stored.shape == again.shape, let a = stored.unsignedElements,
      let b = again.unsignedElements
    else { return "codes of \(stored.shape), its original gives \(again.shape)" }
    let count = zip(a, b).count { $0 != $1 }
    return count == 0 ? nil : "\(count) of \(a.count) codes differ from those of its original"
  }
}
