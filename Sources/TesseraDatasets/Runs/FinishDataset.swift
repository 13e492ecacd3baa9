import Foundation
import TesseraCore
import TesseraImages

extension DatasetFolder {
  /// Turns finished shards into a dataset: the last of the three steps.
  ///
  /// Checks that every shard is done, writes `rejected.jsonl`, then `dataset.json`, then removes
  /// the journal and what killed runs left behind. May be repeated, also after being killed.
  ///
  /// - Throws: `TesseraError` where nothing was planned or a shard is missing.
  package func finish() throws -> DatasetManifest {
    switch try content() {
    case .empty: throw TesseraError.notPlanned(folder: path)
    case .complete(let manifest):
      if try FileTree.exists(work) {
        try clean(try FolderOwner(of: path, verb: Self.verb, waits: true))
      }
      return manifest
    case .planned:
      return try finishAlone(try FolderOwner(of: path, verb: Self.verb, waits: true))
    }
  }

  /// Finishes what no other run finishes at the same time; it may have done so before.
  private func finishAlone(_ owner: FolderOwner) throws -> DatasetManifest {
    switch try content() {
    case .empty: throw TesseraError.notPlanned(folder: path)
    case .complete(let manifest):
      try clean(owner)
      return manifest
    case .planned(let plan):
      let missing = try (0..<plan.shardCount).filter { try record(ofShard: $0) == nil }
      guard missing.isEmpty else {
        throw TesseraError.unfinished(folder: path, shards: missing)
      }
      let manifest = try publishManifest(of: plan, owner)
      try clean(owner)
      return manifest
    }
  }

  private func publishManifest(
    of plan: DatasetPlan,
    _ owner: FolderOwner
  ) throws -> DatasetManifest {
    guard let export = plan.settings.export else {
      return try writeManifest(of: plan, settings: plan.settings, into: path)
    }
    // The shards as tokenized are a dataset of Tessera's own layout, and an export of it the rest.
    var settings = plan.settings
    settings.format = DatasetFormat.webdataset.rawValue
    settings.export = nil
    let native = "\(path)/\(Self.nativeFolder)"
    let manifest = try writeManifest(of: plan, settings: settings, into: native)
    guard manifest.samples > 0, let format = DatasetFormat(rawValue: plan.settings.format) else {
      // Nothing to lay out: the manifest alone says what became of the inputs.
      return try writeManifest(of: plan, settings: plan.settings, into: path)
    }
    let sequence = try export.sequence.map { settings in
      try SequenceStage(settings: settings, files: plan.sequenceFiles)
    }
    return try DatasetExport(format: format, settings: export, sequence: sequence).run(
      TokenDataset(path: native),
      publication: DatasetPublication(planned: path, plan.digest, owner)
    )
  }

  private func writeManifest(
    of plan: DatasetPlan,
    settings: DatasetSettings,
    into folder: String
  ) throws -> DatasetManifest {
    let prefix = Self.shardPrefix(of: plan.settings)
    var rejected = 0
    var shards: [DatasetShard] = []
    var files: [DatasetFile] = []
    var indexed: [WebDatasetIndex.Shard] = []
    var list = try AtomicFile(
      inDataset: "\(folder)/\(DatasetManifest.rejectedFileName)",
      isShared: false
    )
    for index in 0..<plan.shardCount {
      let record = try decode(ShardRecord.self, at: recordPath(ofShard: index))
      for rejection in record.rejections { try list.write(try CanonicalJSON.line(rejection)) }
      rejected += record.rejections.count
      shards.append(record.shard.dropping(prefix: prefix))
      if let offsets = record.offsets { files.append(offsets) }
      indexed.append(
        WebDatasetIndex.Shard(
          name: record.shard.name,
          bytes: record.shard.bytes,
          md5: record.md5,
          samples: record.shard.samples
        )
      )
    }
    try list.commit()
    if plan.settings.export == nil { files += try writeIndex(WebDatasetIndex(indexed)) }
    files.append(try .rejections(in: folder))
    let manifest = DatasetManifest(
      settings: settings,
      plan: plan.digest,
      rejected: rejected,
      account: plan.account ?? InputAccount(),
      shards: shards,
      files: files
    )
    try FileTree.write(
      try manifest.document(),
      to: "\(folder)/\(DatasetManifest.fileName)"
    )
    return manifest
  }

  /// Writes the indices over all shards, as `export` does; none where no shard has a sample.
  private func writeIndex(_ index: WebDatasetIndex) throws -> [DatasetFile] {
    guard !index.isEmpty else { return [] }
    try OutputFolder.make("\(path)/\(WebDatasetIndex.energonFolder)")
    return try index.documents().map { name, bytes in
      try FileTree.write(bytes, to: "\(path)/\(name)")
      return DatasetFile(name: name, bytes: bytes.count, sha256: FileDigest.sha256(of: bytes))
    }
  }

  /// Removes the plan, the journal and the partial files of runs that were killed.
  private func clean(_ owner: FolderOwner) throws {
    for folder in [path, "\(path)/shards", "\(path)/\(WebDatasetIndex.energonFolder)"]
    where try FileTree.exists(folder) {
      for name in try FileTree.entries(of: folder) where AtomicFile.isPartial(name) {
        try OutputFolder.remove("\(folder)/\(name)")
      }
    }
    // A run that was killed while it planned tars left it empty.
    _ = unsafe rmdir("\(path)/shards")
    try owner.finish()
  }
}

extension DatasetFile {
  /// The finished list of rejections in a folder.
  static func rejections(in folder: String) throws -> DatasetFile {
    let name = DatasetManifest.rejectedFileName
    return try DatasetFile(of: "\(folder)/\(name)", named: name)
  }
}

extension DatasetShard {
  /// The shard as a file.
  var file: DatasetFile { DatasetFile(name: name, bytes: bytes, sha256: sha256) }

  /// The same shard, its path starting further down.
  fileprivate func dropping(prefix: String) -> DatasetShard {
    DatasetShard(
      name: String(name.dropFirst(prefix.count)),
      samples: samples,
      tokens: tokens,
      bytes: bytes,
      sha256: sha256
    )
  }
}
