import TesseraCheckpoints
internal import TesseraCore

/// The tensors of a checkpoint under the names that a family's graphs use, and how each comes about.
struct FamilyTensors: Sendable {
  /// One tensor of a graph.
  struct Entry: Sendable {
    let recipe: TensorRecipe
    let shape: Shape
    /// Which of several files holds it.
    var file = 0
  }

  /// A tensor of values that the family knows.
  struct Constant: Sendable {
    let value: FamilyEntry.FixedTensor
    /// Its name in the checkpoint.
    let name: String
    var file = 0
  }

  /// Which of two sets of weights a checkpoint's tensors are taken from.
  enum Weights: String, Sendable, CaseIterable {
    /// As they were trained.
    case raw
    /// Their moving average.
    case averaged = "ema"
  }

  /// By the graphs' names.
  var entries: [String: Entry] = [:]
  /// What does not fit before any network is looked at, by the checkpoint's names: two tensors of one name,
  /// parts of a tensor or averages that are missing, quantizers beside the tokenizer.
  var conflicts: [TesseraError] = []
  /// Tensors of fixed values, which no network takes and which must hold what is computed.
  private(set) var constants: [Constant] = []
  /// Whether the tensors are moving averages.
  private(set) var isAveraged = false
  private let spelling: NamingScheme
  private let prefix: String
  private var levels = 0

  /// Finds a family's tensors in a checkpoint.
  ///
  /// - Parameters:
  ///   - shapes: Every tensor of the checkpoint.
  ///   - family: What is looked for.
  ///   - weights: Which weights; nil for the family's own choice.
  ///   - named: Tensors that a description names: found whether or not the family would read them.
  /// - Throws: `unrecognized` where no spelling's names are there, or not those weights that were asked for;
  ///   `ambiguous` where they are there twice.
  init(
    _ shapes: [String: Shape],
    of family: FamilyEntry,
    weights: Weights?,
    named: [String] = []
  ) throws(TesseraError) {
    let wanted = weights ?? (family.prefersAveraged ? .averaged : .raw)
    let found = try TensorPlace.find(
      family.spellings,
      in: shapes,
      averaged: wanted == .averaged
    )
    guard let place = found else {
      throw .unrecognized(
        name: family.spellings.first?.anchors.first ?? "weights",
        reason: "missing, under any prefix and spelling of \(family.family.rawValue)"
      )
    }
    (spelling, prefix, isAveraged) = (place.spelling, place.prefix, place.isAveraged)
    var own: [String: String] = [:]
    for name in shapes.keys where name.hasPrefix(place.prefix) {
      own[String(name.dropFirst(place.prefix.count))] = name
    }
    let named = Set(named)
    takeAverages(&own, family, shapes, named, isWanted: wanted == .averaged)
    try Self.check(weights, isAveraged: isAveraged, prefix: prefix)
    let tensors = own
    own = own.filter { name, stored in
      named.contains(name)
        || !family.isLeftover(name, shapes[stored] ?? []) && !name.hasPrefix("model_ema.")
    }
    levels = spelling.levels(of: own.keys)
    for (name, stored) in own.sorted(by: { $0.key < $1.key }) {
      guard let shape = shapes[stored] else { continue }
      let canonical = spelling.canonical(name, levels: levels)
      if let value = family.constants[canonical], !named.contains(canonical) {
        constants.append(Constant(value: value, name: stored))
        continue
      }
      if let other = entries[canonical] {
        conflicts.append(.unusedParameter(name: stored, shape: other.shape))
      }
      entries[canonical] = Entry(recipe: .stored(stored), shape: shape)
    }
    missStrangers(outside: tensors, family, shapes, named)
    arrange(family)
    take(named, shapes)
  }

  /// No tensors yet, of a spelling whose names do not matter.
  init(spelling: NamingScheme) {
    (self.spelling, prefix) = (spelling, "")
  }

  /// Adds the tensors of another file, such as the other half.
  mutating func add(_ other: FamilyTensors) {
    let file = (entries.values.map(\.file).max() ?? 0) + 1
    for (name, entry) in other.entries.sorted(by: { $0.key < $1.key }) {
      if entries[name] != nil {
        conflicts.append(.unusedParameter(name: other.fileName(name), shape: entry.shape))
        continue
      }
      entries[name] = Entry(recipe: entry.recipe, shape: entry.shape, file: file)
    }
    conflicts += other.conflicts
    constants += other.constants.map { Constant(value: $0.value, name: $0.name, file: file) }
  }

  /// Notes that a tensor is missing, by the graphs' name.
  mutating func miss(_ canonical: String, _ reason: String) {
    let name = prefix + spelling.fileName(canonical, levels: levels)
    conflicts.append(.incomplete(name: name, reason: reason))
  }

  /// A name of the graphs as the checkpoint has it or would have it.
  func fileName(_ canonical: String) -> String {
    if let names = entries[canonical]?.recipe.names, let first = names.first { return first }
    return prefix + spelling.fileName(canonical, levels: levels)
  }

  /// The shapes by the graphs' names.
  var shapes: [String: Shape] { entries.mapValues(\.shape) }

  /// Refuses other weights than those that were asked for.
  private static func check(
    _ weights: Weights?,
    isAveraged: Bool,
    prefix: String
  ) throws(TesseraError) {
    if weights == .averaged, !isAveraged {
      throw .unrecognized(
        name: "\(prefix)model_ema.*",
        reason: "missing, and averages are asked for"
      )
    }
    if weights == .raw, isAveraged {
      throw .unrecognized(
        name: "\(prefix)*",
        reason: "averages alone, and raw weights are asked for"
      )
    }
  }

  /// Takes the averages of `model_ema.`, whose names have lost their dots, in place of the raw tensors.
  ///
  /// Where there are any, each tensor must have its own, and each average its tensor: a raw weight among
  /// averages is neither of the two networks.
  private mutating func takeAverages(
    _ own: inout [String: String],
    _ family: FamilyEntry,
    _ shapes: [String: Shape],
    _ named: Set<String>,
    isWanted: Bool
  ) {
    let start = "model_ema."
    var averages: [String: String] = [:]
    for (name, stored) in own where name.hasPrefix(start) {
      averages[String(name.dropFirst(start.count))] = stored
    }
    guard !averages.isEmpty, !isAveraged else { return }
    var known = FamilyEntry.averageCounters
    for (name, stored) in own.sorted(by: { $0.key < $1.key }) where !name.hasPrefix(start) {
      let short = name.filter { $0 != "." }
      known.insert(short)
      guard isWanted, !family.isLeftover(name, shapes[stored] ?? []) else { continue }
      if let average = averages[short] {
        own[name] = average
      } else if family.constants[name] == nil, !named.contains(name), !named.contains(stored) {
        let reason = "other tensors have averages; name the raw weights as FAMILY@raw:FILE"
        conflicts.append(.incomplete(name: prefix + start + short, reason: reason))
      }
    }
    for (short, stored) in averages.sorted(by: { $0.key < $1.key })
    where !known.contains(short) && !FamilyEntry.isTraining(short) {
      conflicts.append(.unusedParameter(name: stored, shape: shapes[stored] ?? []))
    }
    if isWanted { isAveraged = true }
  }

  /// Refuses quantizers that stand beside the tokenizer's own prefix: they may be what makes the codes.
  private mutating func missStrangers(
    outside own: [String: String],
    _ family: FamilyEntry,
    _ shapes: [String: Shape],
    _ named: Set<String>
  ) {
    for (name, shape) in shapes.sorted(by: { $0.key < $1.key }) where !name.hasPrefix(prefix) {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      let inner = parts.drop(while: TensorPlace.wrappers.contains)
      guard let first = inner.first, FamilyEntry.quantizerParts.contains(first) else { continue }
      // Another set of the same weights has the same names.
      let rest = inner.joined(separator: ".")
      guard own[rest] == nil, !named.contains(name), !family.isLeftover(rest, shape) else {
        continue
      }
      conflicts.append(.unusedParameter(name: name, shape: shape))
    }
  }

  /// Takes tensors that a description names as the checkpoint does, with all that stands before them.
  private mutating func take(_ named: Set<String>, _ shapes: [String: Shape]) {
    for name in named.sorted() where entries[name] == nil {
      guard let shape = shapes[name] else { continue }
      for (other, entry) in entries {
        if case .stored(let stored) = entry.recipe, stored == name { entries[other] = nil }
      }
      entries[name] = Entry(recipe: .stored(name), shape: shape)
    }
  }
}
