import Synchronization
import TesseraCore
import TesseraImages

/// The inputs of a plan as they are looked at, one by one and as often as they are asked for.
///
/// What is wrong with an input's caption refuses it. What this machine cannot find out, such as the size of
/// a file whose mount is gone, is kept for ``check()``: no plan is made of it.
final class InputPlanning: Sendable {
  private let failure = Mutex<(any Error)?>(nil)

  /// Looks at inputs.
  ///
  /// - Parameters:
  ///   - inputs: The inputs.
  ///   - captions: Finds their captions; nil where none are asked for.
  /// - Returns: The inputs of the plan, in order.
  func inputs(
    of inputs: [ImageInput],
    captions: CaptionLookup?
  ) -> LazyMapSequence<[ImageInput], PlannedInput> {
    inputs.lazy.map { [self] input in
      let planned = planned(input, captions)
      if let problem = planned.problem { note(problem) }
      return planned
    }
  }

  /// Throws what could not be found out, where there was such a thing.
  func check() throws { if let error = failure.withLock({ $0 }) { throw error } }

  private func planned(_ input: ImageInput, _ captions: CaptionLookup?) -> PlannedInput {
    guard let captions else { return PlannedInput(input) }
    do {
      return PlannedInput(input, caption: try captions.caption(of: input))
    } catch let error as TesseraError where !error.isMachineFault {
      let refused = ImageInput(
        key: input.key,
        source: input.source,
        location: .refused(reason: error.cause)
      )
      return PlannedInput(refused, caption: "")
    } catch {
      note(error)
      return PlannedInput(input, caption: "")
    }
  }

  private func note(_ error: any Error) {
    failure.withLock { if $0 == nil { $0 = error } }
  }
}
