import Foundation
import TesseraCore

/// The output folder of a plan, and the only door to what stands in it.
///
///     shards/00000.tar …       finished shards, each whole from its first moment
///     rejected.jsonl           written by `finish`
///     dataset.json             written by `finish`, last: with it the dataset is complete
///     .tessera/plan/           the plan: plan.json and the inputs of each shard
///     .tessera/journal/        one record a finished shard; `finish` removes the whole folder
///     .tessera/native/         the shards, where `finish` makes another layout of them
///
/// Any number of processes on any machines may run shards of one plan here, even the same shard
/// twice: their files have names of their own until they are renamed, and their bytes are equal.
package struct DatasetFolder: Sendable {
  /// The folder's path as the user gave it.
  package let path: String

  /// The most inputs of a plan that is believed.
  private static let mostInputs = 1 << 40

  /// What stands in a folder.
  package enum Content: Sendable {
    /// Nothing, or no such folder.
    case empty
    /// A plan whose shards are not all finished.
    case planned(DatasetPlan)
    /// A finished dataset.
    case complete(DatasetManifest)
  }

  /// Names a folder, which need not exist.
  package init(_ path: String) {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.path = path
  }

  var work: String { "\(path)/.tessera" }
  var planFolder: String { "\(work)/plan" }
  var journal: String { "\(work)/journal" }
  var manifestPath: String { "\(path)/\(DatasetManifest.fileName)" }

  /// Where the shards of tars stand until the dataset is finished: in their last place, or in the
  /// hidden folder where `finish` makes another layout of them.
  static func shardPrefix(of settings: DatasetSettings) -> String {
    settings.export == nil ? "" : nativeFolder + "/"
  }
  static let nativeFolder = ".tessera/native"
  /// The beginning of the names of plans that are not complete.
  static let draftPrefix = "draft-"
  /// The name of the work in the folder's lock.
  static let verb = "tokenize"

  /// A name in the hidden folder that nothing has.
  var newDraft: String { "\(work)/\(Self.draftPrefix)\(UInt64.random(in: 0...UInt64.max))" }

  func inputsPath(ofShard index: Int, in plan: String) -> String { "\(plan)/\(index).jsonl" }
  func recordPath(ofShard index: Int) -> String { "\(journal)/\(index).json" }

  /// Looks at the folder without changing it.
  ///
  /// - Throws: `TesseraError` where it holds anything else than a plan's work.
  package func content() throws -> Content {
    if try FileTree.exists(manifestPath) {
      return .complete(try TokenDataset(path: path).manifest)
    }
    if try FileTree.exists(planFolder) {
      let file = "\(planFolder)/plan.json"
      let plan = try decode(DatasetPlan.self, at: file)
      if let fault = plan.settings.fault {
        throw TesseraError.damaged(file: file, reason: "the field 'settings.\(fault)'")
      }
      guard (1...Self.mostInputs).contains(plan.inputs) else {
        throw TesseraError.damaged(
          file: file,
          reason: "the field 'inputs': \(plan.inputs) is not from 1 to 2^40"
        )
      }
      return .planned(plan)
    }
    // A fresh file system has lost+found; a run killed while it planned leaves .tessera and an empty
    // folder of shards.
    let names = try FileTree.entries(of: path)
    let hasShards = try names.contains("shards") && !FileTree.entries(of: "\(path)/shards").isEmpty
    let expected = [".tessera", "lost+found"] + (hasShards ? [] : ["shards"])
    if let entry = names.filter({ !expected.contains($0) }).min() {
      throw TesseraError.foreign(folder: path, entry: entry)
    }
    // What another verb began, that verb ends.
    if let mark = try PictureFolder.mark(in: self) {
      throw TesseraError.foreign(folder: path, entry: mark)
    }
    return .empty
  }

  /// Puts the plan into the folder, or finds it there: the first of the three steps.
  ///
  /// - Parameters:
  ///   - plan: The plan.
  ///   - inputs: The inputs it was made of, again.
  ///   - validate: Throws where an input could not be looked at this time; nothing is planned then.
  /// - Returns: What the folder holds now: this plan, or its finished dataset.
  /// - Throws: `TesseraError` where another plan's work or anything else is there, which is
  ///   left as it was.
  package func prepare(
    _ plan: DatasetPlan,
    inputs: some Sequence<PlannedInput>,
    check validate: () throws -> Void = {}
  ) throws -> Content {
    if let found = try found(plan) { return found }
    let owner = try FolderOwner(of: path, verb: Self.verb, waits: true)
    defer { withExtendedLifetime(owner) {} }
    // Another run may have planned, or even finished, meanwhile.
    if let found = try found(plan) { return found }
    if case .planned = try content() {
      // File by file, plan.json last: a run killed meanwhile finds other locations again.
      try write(plan, inputs: inputs, into: planFolder, validate)
    } else {
      try publish(plan, inputs: inputs, validate)
    }
    return .planned(plan)
  }

  /// What the folder holds of a plan, which stays as it is; nil where the plan is to be written.
  private func found(_ plan: DatasetPlan) throws -> Content? {
    switch try content() {
    case .complete(let manifest):
      try check(manifest.plan == plan.digest, plan, settings: manifest.settings)
      try checkFiles()
      return .complete(manifest)
    case .planned(let found):
      try check(found.digest == plan.digest, plan, settings: found.settings)
      // The same images elsewhere: the same dataset, read from the new place.
      return found.locations == plan.locations ? .planned(found) : nil
    case .empty: return nil
    }
  }

  /// The inputs of one shard, in order.
  package func inputs(ofShard index: Int) throws -> [PlannedInput] {
    let file = inputsPath(ofShard: index, in: planFolder)
    let lines = try FileTree.read(file).split(separator: UInt8(ascii: "\n"))
    return try lines.map { line in try decode(PlannedInput.self, from: line, of: file) }
  }

  private func check(_ isEqual: Bool, _ plan: DatasetPlan, settings: DatasetSettings) throws {
    guard !isEqual else { return }
    throw TesseraError.otherPlan(
      folder: path,
      difference: try settings.difference(to: plan.settings) ?? "other inputs"
    )
  }

  /// Writes the plan under a name of its own and renames it: a plan is there whole or not at all.
  private func publish(
    _ plan: DatasetPlan,
    inputs: some Sequence<PlannedInput>,
    _ validate: () throws -> Void
  ) throws {
    let draft = newDraft
    // Made here and nowhere else: a late worker must not bring them back after `finish`.
    let shards = "\(path)/\(Self.shardPrefix(of: plan.settings))shards"
    Interruption.add(draft)
    let scaffolds = [shards, "\(path)/\(Self.nativeFolder)", journal]
    scaffolds.forEach(Interruption.add(scaffold:))
    defer { ([draft] + scaffolds).forEach(Interruption.keep) }
    var made: [String] = []
    do {
      for folder in [draft, journal, shards] { made += try OutputFolder.make(folder) }
      try write(plan, inputs: inputs, into: draft, validate)
      try Interruption.protect { () throws(TesseraError) in
        try OutputFolder.rename(draft, to: planFolder)
        ([draft] + scaffolds).forEach(Interruption.keep)
      }
      try OutputFolder.synchronize(work)
    } catch {
      try? OutputFolder.remove(draft)
      // Where a file system has no locks, another process may have published first; whose plan it is decides.
      let found = try? content()
      if case .planned(let other)? = found, other.digest == plan.digest { return }
      let isEmpty = if case .empty? = found { true } else { false }
      for folder in isEmpty ? scaffolds : made.reversed() { _ = unsafe rmdir(folder) }
      guard case .planned(let other)? = found else { throw error }
      try check(false, plan, settings: other.settings)
    }
  }

  private func write(
    _ plan: DatasetPlan,
    inputs: some Sequence<PlannedInput>,
    into folder: String,
    _ validate: () throws -> Void
  ) throws {
    var rest = inputs.makeIterator()
    for shard in 0..<plan.shardCount {
      var lines: [UInt8] = []
      for _ in 0..<plan.inputCount(ofShard: shard) {
        guard let input = rest.next() else { break }
        lines += try CanonicalJSON.line(input)
      }
      try FileTree.write(lines, to: inputsPath(ofShard: shard, in: folder))
    }
    try validate()
    try FileTree.write(try CanonicalJSON.document(plan), to: "\(folder)/plan.json")
  }

  func decode<Value: Decodable>(_ type: Value.Type, at file: String) throws -> Value {
    try decode(type, from: FileTree.read(file), of: file)
  }

  private func decode<Value: Decodable>(
    _ type: Value.Type,
    from bytes: some Sequence<UInt8>,
    of file: String
  ) throws -> Value {
    do {
      return try CanonicalJSON.decode(type, from: bytes)
    } catch let error as DecodingError {
      throw TesseraError.damaged(file: file, reason: ManifestFile.cause(of: error))
    }
  }
}

extension DatasetSettings {
  /// The settings in which two plans differ, as `positions: tie there, rope2d here`; nil for none.
  func difference(to other: DatasetSettings) throws -> String? {
    let there = try JSONValue(encoding: self).object ?? [:]
    let here = try JSONValue(encoding: other).object ?? [:]
    let names = Set(there.keys).union(here.keys).filter { there[$0] != here[$0] }
    if names.isEmpty { return nil }
    return try names.sorted().map { name in
      "\(name): \(try text(there[name])) there, \(try text(here[name])) here"
    }.joined(separator: "; ")
  }

  private func text(_ value: JSONValue?) throws -> String {
    guard let value else { return "none" }
    let line = String(decoding: try CanonicalJSON.line(value).dropLast(), as: UTF8.self)
    return line.count > 80 ? line.prefix(77) + "…" : line
  }
}
