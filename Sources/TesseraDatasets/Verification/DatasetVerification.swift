import TesseraCore
import TesseraImages
package import TesseraTokenizers

/// Whether a dataset is what its manifest says, and what its originals give.
package struct DatasetVerification: Sendable {
  let dataset: TokenDataset

  /// Prepares for a dataset.
  package init(of dataset: TokenDataset) { self.dataset = dataset }

  /// Every file that the manifest names: shards first, then those without samples.
  package var files: [DatasetFile] {
    let manifest = dataset.manifest
    return manifest.shards.map(\.file) + (manifest.layout?.files ?? []) + manifest.files
  }

  /// Hands over every small file that a list of the dataset's names; a dataset without loose files has no
  /// list.
  ///
  /// - Returns: What is wrong with the list, where reading it ended; nil where nothing is.
  /// - Throws: `TesseraError` where this machine is at fault, and what `body` throws.
  package func forEachListed(_ body: (DatasetFile) throws -> Void) throws -> String? {
    guard files.contains(where: { $0.name == DatasetFileList.fileName }) else { return nil }
    return try Self.problem { try DatasetFileList(folder: dataset.path).forEach(body) }
  }

  /// Every file in the folder that nothing names, and every empty folder, its name with a slash at its end,
  /// in which none is to be.
  ///
  /// Memory is bounded: digests of the names that are known are compared with what lies there, a part of
  /// them at a time.
  ///
  /// - Throws: `TesseraError`.
  package func forEachUnlisted(_ body: (String) throws -> Void) throws {
    let own = files.map(\.name) + [DatasetManifest.fileName]
    var count = own.count
    _ = try forEachListed { _ in count += 1 }
    let passes = 1 + count / Self.mostNames
    for pass in 0..<passes {
      func isOfPass(_ name: String) -> Bool {
        name.utf8.reduce(UInt(5381)) { $0 &* 33 &+ UInt($1) } % UInt(passes) == UInt(pass)
      }
      var known: Set<String> = []
      func insert(_ name: String) {
        if isOfPass(name) { known.insert(name) }
        // Without its files, their folder is empty: they are missing, it is not too much.
        var folder = name[...]
        while let slash = folder.lastIndex(of: "/") {
          if isOfPass(String(folder[...slash])) { known.insert(String(folder[...slash])) }
          folder = folder[..<slash]
        }
      }
      own.forEach(insert)
      _ = try forEachListed { insert($0.name) }
      try DatasetTree(folder: dataset.path).forEachEntry { name in
        if isOfPass(name), !known.contains(name) { try body(name) }
      }
    }
  }

  /// The most names that are held at a time.
  private static let mostNames = 1 << 18

  /// What an operation says of damaged data; nil where it ends well.
  private static func problem(_ operation: () throws -> Void) throws -> String? {
    do {
      try operation()
      return nil
    } catch let error as TesseraError {
      if error.isMachineFault, !error.isAboutPath { throw error }
      return "\(error)"
    }
  }

  /// What is wrong with one file, or nil: it is read from start to end.
  ///
  /// - Throws: `TesseraError` where this machine, not the file, is at fault.
  package func problem(of file: DatasetFile) throws -> String? {
    do {
      let path = try dataset.file(file.name)
      let size = try FileDigest.size(of: path)
      guard size == file.bytes else {
        return "has \(size) bytes where the manifest says \(file.bytes)"
      }
      let hash = try FileDigest.sha256(of: path)
      return hash == file.sha256
        ? nil : "has SHA-256 \(hash.prefix(12))… where the manifest says \(file.sha256.prefix(12))…"
    } catch let error as TesseraError {
      if error.isMachineFault, !error.isAboutPath { throw error }
      return "cannot be read: \(error)"
    }
  }

  /// What contradicts the manifest's totals, a sentence each.
  ///
  /// - Throws: `TesseraError` where this machine, not the dataset, is at fault.
  package func contradictions() throws -> [String] {
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
    let list = try Self.problem {
      try RejectionList(folder: dataset.path).forEach { _ in rejected += 1 }
    }
    if let list {
      found.append(list)
    } else {
      compare("lines of \(DatasetManifest.rejectedFileName)", rejected, manifest.rejected)
    }
    let file = "\(dataset.path)/\(DatasetManifest.fileName)"
    if SafePath.isLinkInside(file) {
      found.append("\(DatasetManifest.fileName): a link to another file of the folder")
    }
    let bytes = try FileDigest.bytes(of: file, maximumBytes: ReadLimit.manifest)
    if !DatasetManifest.isIntact(bytes) {
      found.append(
        "\(DatasetManifest.fileName): its bytes are not those of its own manifest_sha256"
      )
    }
    return found
  }

  /// The places of samples to look at, spread over the whole dataset: for each shard, positions in it.
  ///
  /// - Parameter count: How many; all where there are no more.
  /// - Returns: Shards in order, with ascending positions.
  package func spread(_ count: Int) -> [(shard: DatasetShard, positions: [Int])] {
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
package struct SampleReencoding: Sendable {
  private let images: ImageTokenization
  private let originals: Originals

  /// Prepares for a dataset.
  ///
  /// - Parameters:
  ///   - settings: What its manifest says.
  ///   - tokenizer: The tokenizer that the settings name.
  ///   - originals: The folder below which the sources lie, or all that was tokenized.
  /// - Throws: `TesseraError` where the tokenizer is another one.
  package init(settings: DatasetSettings, tokenizer: ImageTokenizer, originals: [String]) throws {
    images = try ImageTokenization(settings: settings, tokenizer: tokenizer)
    self.originals = try Originals(originals)
  }

  /// One sample, compared.
  package struct Result: Sendable {
    /// The sample's key.
    package let key: String
    /// What differs, or nil: the codes are the same.
    package let problem: String?
  }

  /// Encodes the original of a sample and compares the codes.
  ///
  /// - Throws: Where this machine is at fault.
  @concurrent @Sendable
  package func result(of sample: DatasetSample) async throws -> Result {
    Result(key: sample.key, problem: try await problem(of: sample))
  }

  private func problem(of sample: DatasetSample) async throws -> String? {
    do {
      let description = try sample.description()
      let image = try originals.image(of: description.key, source: description.source)
      switch try await images.sample(of: PlannedInput(image)) {
      case .rejected(let rejection): return "its original: \(rejection.reason)"
      case .sample(let again):
        guard again.description.sha256 == description.sha256 else {
          return "its original is another file than the one that was tokenized"
        }
        return try difference(sample.tensor("codes.npy"), again.codes)
      }
    } catch let error as TesseraError {
      if error.isMachineFault, !error.isAboutPath { throw error }
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
